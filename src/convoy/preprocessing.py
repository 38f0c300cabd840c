"""From raw uint8 images of any size to what a network reads.

There is one resize and one normalisation, used by ingestion and inside the registered graph alike:
a raw image gives the same probabilities as its prepared form (no train/serve skew).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convoy.decoding import Channels

# Weights are whole numbers below the limit, in units of 2**-1 to 2**-22.
_WEIGHT_LIMIT = 2**15
_FINEST = 22


def resize(images: Tensor, side: int) -> Tensor:
    """Return images (N, C, H, W) uint8 as (N, C, side, side) uint8.

    Bilinear with antialiasing, each side scaled by itself, in integer arithmetic: the same bits on
    every processor. An image that already has the size comes out unchanged.
    """
    if images.device.type == "cpu" and not torch.compiler.is_exporting():
        return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return resize_by_matrices(images, side)


def resize_by_matrices(images: Tensor, side: int) -> Tensor:
    """Return what `resize` returns, by operations that export and that every device has.

    PyTorch has its fixed-point kernel for the CPU alone; these are its numbers, bit for bit.
    """
    for size in (images.shape[-1], images.shape[-2]):
        # Exact in any order, and so on any device: sums of whole numbers below 2**30 over a power
        # of two. In float32 they would not be.
        sums = images.contiguous().double() @ _weights(size, side, images.device).mT
        images = (sums + 0.5).clamp(max=255).to(torch.uint8).mT
    return images


def _weights(size: int, side: int, device: torch.device) -> Tensor:
    """Return what each of `size` pixels adds to each of `side` new ones, (side, size) float64.

    A triangle around each new pixel's centre, rounded as ATen's `UpSampleKernel.cpp` rounds it, but
    in whole numbers throughout: no device can differ by the order in which it sums.
    """
    pixels = torch.arange(size, device=device) * 2 + 1
    centres = torch.arange(side, device=device)[:, None] * 2 + 1
    longer = torch.sym_max(size, side)  # type: ignore[no-untyped-call]
    # Heights and distances are in units of 1 / (2 * longer).
    triangles = (2 * longer - (pixels * side - centres * size).abs()).clamp(min=0)
    totals = triangles.sum(dim=1, keepdim=True)
    # The finest unit in which the largest weight, rounded, is still below the limit.
    finer = 2 ** torch.arange(1, _FINEST + 1, device=device)
    largest = _quotient(triangles.amax(dim=1, keepdim=True) * finer, totals).amax(dim=0)
    one = 2 ** (largest < _WEIGHT_LIMIT).sum()
    return _quotient(triangles * one, totals).double() / one


def _quotient(dividend: Tensor, divisor: Tensor) -> Tensor:
    """Return the quotient of whole numbers, rounded half up."""
    return (2 * dividend + divisor) // (2 * divisor)


def colour(images: Tensor, channels: Channels) -> Tensor:
    """Return images (N, C, ...) uint8 in a dataset's colour, float32 of the same shape, 0 to 255.

    Only `hsv` is stored as something else, RGB: resizing would mix the two ends of the hue. Hue
    (255 is the whole circle), saturation and value are those of Pillow's `convert("HSV")` before it
    cuts them off to whole numbers, so within one level of it.
    """
    values = images.to(torch.float32)
    if channels != "hsv":
        return values
    red, green, blue = values.unbind(dim=1)
    value = values.amax(dim=1)
    chroma = value - values.amin(dim=1)
    span = chroma.clamp(min=1)  # of a gray, whose hue is then 0
    sextant = torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span)
    sextant = torch.where(value == red, ((green - blue) / span) % 6, sextant)
    saturation = 255 * chroma / value.clamp(min=1)
    return torch.stack((sextant * 42.5, saturation, value), dim=1)


class Preprocessing(nn.Module):
    """Raw uint8 images (N, H, W, C) of any size to normalised float32 (N, C, side, side).

    C is the base form of `channels` (`convoy.decoding.COUNT`). `mean` and `std` are those of the
    training images after `colour`, in levels (0 to 255), a value a channel.
    """

    def __init__(self, side: int, channels: Channels, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.side = side
        self.channels = channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return self.normalise(resize(images.permute(0, 3, 1, 2), self.side))

    def normalise(self, images: Tensor) -> Tensor:
        """Prepared uint8 images (N, C, side, side) to zero mean and unit deviation, float32."""
        return (colour(images, self.channels) - self.mean) / self.std
