"""Images harmed in seven ways, each in five strengths, by whole batches on their device.

Sources: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (2019), for noise, blur, contrast and JPEG; Engstrom et al., "Exploring the landscape
of spatial robustness" (2019), for rotation and shift; Zeiler and Fergus, "Visualizing and
understanding convolutional networks" (2013), section 4.2, for occlusion by a gray square.

Departures, so that one table serves images of 28 and of 224 pixels:
- What is a length is a share of the image's side. The blur's largest is CIFAR-10-C's at 32 pixels
  and a fifth above ImageNet-C's at 224; below 16 pixels it is that of 16, as a quarter of a pixel
  changes nothing.
- Strengths of noise, contrast and JPEG begin at CIFAR-10-C's mildest, or near it, and end at
  ImageNet-C's strongest, for noise at its fourth.
- Rotation and shift have a strength instead of a range, rotation up to the paper's 30 degrees,
  shift up to half as much again as its tenth of the side. What moves in is the border repeated:
  black corners would be a corruption of their own.
- The square has the image's mean colour, and hides up to three tenths of the image.
- Of what is drawn (grain, sides, places) all strengths of an image have the same, so that a curve
  tells of strength alone. It is drawn on the CPU: every device sees the same images.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from convoy.augmentation import geometry
from convoy.augmentation.boxes import Boxes, pasted

try:
    import simplejpeg
except ImportError:  # a bare training machine, say: the same codec through Pillow, slower
    simplejpeg = None

BLURRED = 16
"""Pixels of the smallest side that a blur's share is taken of."""

Change = Callable[[Tensor, Sequence[float], torch.Generator], Iterator[Tensor]]
"""Images (N, C, side, side) uint8 to the same at each strength, with one draw on the CPU."""


@dataclass(frozen=True)
class Corruption:
    """One way of harming images."""

    change: Change
    strengths: tuple[float, ...]
    """From mild to strong."""
    meaning: str
    """What a strength is."""


def noise(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images with Gaussian noise, its deviation a share of the range of levels."""
    grain = torch.randn(images.shape, generator=generator).to(images.device)
    for strength in strengths:
        yield _levels(images + grain * (255 * strength))


def blur(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images under a Gaussian, its deviation a share of the side.

    At the border the weights are shared out among the pixels that are there.
    """
    levels = images.to(torch.float32)
    for strength in strengths:
        down, across = (
            _smoothing(side, strength * max(side, BLURRED), images.device)
            for side in images.shape[2:]
        )
        yield _levels(down @ levels @ across.mT)


def contrast(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images whose levels keep this share of their distance from the channel's mean."""
    levels = images.to(torch.float32)
    mean = levels.mean(dim=(2, 3), keepdim=True)
    for strength in strengths:
        yield _levels(torch.lerp(mean, levels, strength))


def rotation(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images turned by this many degrees, to the left or the right by the toss of a coin."""
    signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
    for strength in strengths:
        yield _moved(images, geometry.rotation(signs * math.radians(strength)))


def shift(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images moved by this share of their side, each in a direction of its own."""
    angles = torch.rand(len(images), generator=generator) * (2 * math.pi)
    height, width = images.shape[2:]
    for strength in strengths:
        x, y = angles.cos() * (strength * width), angles.sin() * (strength * height)
        yield _moved(images, geometry.translation(x, y))


def occlusion(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images behind a square, this share of their side long, of their mean colour."""
    mean = images.to(torch.float32).mean(dim=(2, 3), keepdim=True)
    blank = _levels(mean).expand_as(images)
    places = torch.rand(2, len(images), generator=generator).to(images.device)
    for strength in strengths:
        bounds: list[Tensor] = []
        for place, length in zip(places, images.shape[2:], strict=True):
            side = max(1, round(strength * length))
            start = (place * (length - side + 1)).long()
            bounds += [start, start + side]
        yield pasted(images, blank, Boxes(*bounds))


def jpeg(
    images: Tensor, strengths: Sequence[float], generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield images as JPEG keeps them at this quality, 1 to 100."""
    arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for strength in strengths:
        kept = np.stack([_through_jpeg(array, int(strength)) for array in arrays])
        yield torch.from_numpy(kept).permute(0, 3, 1, 2).to(images.device)


CORRUPTIONS = {
    "noise": Corruption(noise, (0.04, 0.08, 0.12, 0.18, 0.26), "deviation, of the levels' range"),
    "blur": Corruption(blur, (0.006, 0.012, 0.018, 0.024, 0.032), "deviation, of the side"),
    "contrast": Corruption(contrast, (0.75, 0.5, 0.3, 0.15, 0.05), "share that is left"),
    "rotation": Corruption(rotation, (6, 12, 18, 24, 30), "degrees"),
    "shift": Corruption(shift, (0.03, 0.06, 0.09, 0.12, 0.15), "distance, of the side"),
    "occlusion": Corruption(occlusion, (0.15, 0.25, 0.35, 0.45, 0.55), "square, of the side"),
    "jpeg": Corruption(jpeg, (65, 40, 25, 15, 7), "quality"),
}


def _levels(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)


def _smoothing(side: int, deviation: float, device: torch.device) -> Tensor:
    """Return what each of `side` pixels takes from each, (side, side) float32 with rows of 1."""
    place = torch.arange(side, dtype=torch.float32, device=device)
    weights = torch.exp(-(((place - place[:, None]) / deviation) ** 2) / 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _moved(images: Tensor, matrices: Tensor) -> Tensor:
    """Return images that take each pixel from where its matrix (2, 3) says, the border repeated.

    A matrix is one of `geometry`, in pixels from the centre.
    """
    # PyTorch's run from -1 to 1.
    shares = matrices.to(images.device) * images.new_tensor(
        [1, 1, 2 / images.shape[-1]], dtype=torch.float32
    )
    sources = F.affine_grid(shares, list(images.shape), align_corners=False)
    levels = images.contiguous().to(torch.float32)
    return _levels(F.grid_sample(levels, sources, padding_mode="border", align_corners=False))


def _through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an image (H, W, C) written as JPEG and read again."""
    channels = image.shape[2]
    if simplejpeg is not None and channels != 4:
        colour = "GRAY" if channels == 1 else "RGB"
        sampling = "gray" if channels == 1 else "420"
        encoded = simplejpeg.encode_jpeg(image, quality, colour, sampling, fastdct=False)
        found: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            encoded, colour, fastdct=False, fastupsample=False
        )
        return found
    stream = io.BytesIO()
    plain = image.squeeze(2) if channels == 1 else image
    picture = Image.fromarray(plain, {1: "L", 3: "RGB", 4: "CMYK"}[channels])
    picture.save(stream, "JPEG", quality=quality, subsampling=0 if channels == 1 else 2)
    with Image.open(stream, formats=["JPEG"]) as kept:
        return np.asarray(kept).reshape(image.shape)
