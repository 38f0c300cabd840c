"""From a file, or from raw uint8 images of any size, to what a network reads.

There is one decoder and one resize, used by ingestion and inside the registered graph alike: a raw
file gives the same probabilities through either (no train/serve skew).
"""

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn
from torch.nn import functional as F

from convoy.errors import DataRefused

Channels = Literal["gray", "rgb"]
COUNT: dict[Channels, int] = {"gray": 1, "rgb": 3}

# Formats whose parsers are hardened; EPS, PDF and PSD run far more code (Pillow's SECURITY.md).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
_MODES: dict[Channels, str] = {"gray": "L", "rgb": "RGB"}


def decode(path: Path, channels: Channels) -> NDArray[np.uint8]:
    """Return a file's image (H, W, C), upright, 8 bits, transparency over white.

    Raises `DataRefused` for what is not one whole still image of at most 50 million pixels.
    """
    try:
        # Opened here: by its name Pillow maps a file into memory, and then reads TIFFs of a camera
        # held sideways row by row in the wrong width (13.0).
        with path.open("rb") as stream, warnings.catch_warnings():
            # Pillow only warns up to twice its own limit; ours stands below, before any decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(stream, formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise DataRefused(
                        f"{path} has {opened.width} x {opened.height} pixels, more than "
                        f"{MAX_PIXELS:,}: make it smaller first."
                    )
                if getattr(opened, "n_frames", 1) > 1:
                    raise DataRefused(f"{path} has several frames: export the one you mean.")
                return _pixels(ImageOps.exif_transpose(_eight_bits(opened)), channels)
    except DataRefused:
        raise
    except FileNotFoundError as error:
        raise DataRefused(f"{path} does not exist: check the path.") from error
    except UnidentifiedImageError as error:
        raise DataRefused(
            f"{path} is not an image that can be read ({', '.join(FORMATS)}): convert it first."
        ) from error
    except Exception as error:
        # A parser raises whatever damaged bytes happen to mean: OSError, SyntaxError, TypeError ...
        raise DataRefused(f"{path} is damaged ({error}): replace it with a whole copy.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grays; Pillow's own conversion cuts them off at 255 instead."""
    image.load()
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(image, dtype=np.int64).clip(0, 65535)
        scaled = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        scaled.info = image.info
        if (level := scaled.info.pop("transparency", None)) is not None:
            scaled.putalpha(Image.fromarray(np.where(values == level, 0, 255).astype(np.uint8)))
        return scaled
    return image


def _pixels(image: Image.Image, channels: Channels) -> NDArray[np.uint8]:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.asarray(image.convert(_MODES[channels]), dtype=np.uint8)
    return pixels.reshape(image.height, image.width, COUNT[channels])


def resize(images: Tensor, side: int) -> Tensor:
    """Return images (N, C, H, W) of 0..255 as (N, C, side, side) float32, whole numbers 0..255.

    Bilinear with antialiasing; the sides are scaled each by itself. An image that already has the
    size comes out unchanged, bit for bit.
    """
    resized = F.interpolate(
        images.to(torch.float32), size=(side, side), mode="bilinear", antialias=True
    )
    return resized.round().clamp(0, 255)


class Preprocessing(nn.Module):
    """Raw uint8 images (N, H, W, C) of any size to normalised float (N, C, side, side).

    `mean` and `std` are those of the training images, in grey levels (0 to 255), a value a channel.
    """

    def __init__(self, side: int, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return self.normalise(resize(images.permute(0, 3, 1, 2), self.side))

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, C, side, side) of 0..255 to zero mean and unit deviation."""
        return (images.to(torch.float32) - self.mean) / self.std
