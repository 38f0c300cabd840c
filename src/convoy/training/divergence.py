"""What is left of a training step that could not be gone on from: its images, and advice."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convoy.classifier import Classifier
from convoy.datamodule import DataModule
from convoy.errors import ConvoyError, RecipeFailed
from convoy.files import write_json
from convoy.losses import Diverged
from convoy.training.spec import TrainingSpec

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def explained(
    error: Diverged, spec: TrainingSpec, classifier: Classifier, data: DataModule
) -> ConvoyError:
    """Save the batch of a hopeless step as the network saw it; return the error that says so.

    `diverged/` in the training's folder gets a picture of the images, row by row, and a list of
    the files that they came from.
    """
    epoch, batches = classifier.current_epoch, data.train_dataloader()
    numbers = batches.part(error.index)
    batch = (batches.reader.read(numbers), batches.labels[numbers])
    images, _ = classifier.augmented(batch, error.index)
    folder = Path(spec.folder) / "diverged"
    folder.mkdir(exist_ok=True)
    picture(images).save(folder / "images.png")
    listed = [data.stored("train", int(number)) for number in numbers]
    write_json(
        folder / "batch.json",
        {
            "epoch": epoch + 1,
            "batch": error.index + 1,
            "loss": str(error.loss),
            "images": [{"path": one.path, "label": one.label} for one in listed],
        },
    )
    clip = "" if spec.recipe.clip else ", or set clip to 1"
    return RecipeFailed(
        f"the loss of {spec.architecture} is {error.loss:g} in batch {error.index + 1} of epoch "
        f"{epoch + 1}, whose images are in {folder}: if they are as they should be, lower "
        f"learning_rate in params.yaml (a tenth of {spec.recipe.learning_rate:g} is a good first "
        f"try){clip}."
    )


def picture(images: Tensor) -> Image.Image:
    """Return images (N, C, H, W) in levels of 0 to 255 side by side, in rows from the top left."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    levels: NDArray[np.uint8] = images.clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = levels
    tiles = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    pixels = tiles.reshape(rows * height, columns * width, channels)
    found = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, _MODES[channels])
    return found.convert("RGB")
