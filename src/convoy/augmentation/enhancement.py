"""Pillow's four enhancements: an image is blended with, or led away from, a plainer one.

Levels are float32 from 0 to 255; the result is within them and not rounded. Factors (N,) are one
for each image: 0 gives the plainer image, 1 the image itself.
"""

import torch
from torch import Tensor


def gray(levels: Tensor) -> Tensor:
    """Return the gray of images (N, C, H, W), (N, 1, H, W), as Pillow's `convert("L")` rounds it.

    RGB is weighed as in ITU-R 601-2; a single channel is its own gray.
    """
    if levels.shape[1] == 1:
        return levels
    red, green, blue = levels.unbind(dim=1)
    # Whole numbers below 2**24, which float32 holds exactly.
    weighed = red * 19595 + green * 38470 + blue * 7471 + 32768
    return (weighed / 65536).floor_()[:, None]


def brightness(levels: Tensor, factors: Tensor) -> Tensor:
    """Return images (N, C, H, W) that are lighter or darker: the plainer image is black."""
    return (levels * _each(factors)).clamp_(0, 255)


def contrast(levels: Tensor, factors: Tensor) -> Tensor:
    """Return images (N, C, H, W) of more or less contrast: the plainer image is its mean gray."""
    mean = gray(levels).mean(dim=(1, 2, 3), keepdim=True)
    return _blended((mean + 0.5).floor_(), levels, factors)


def saturation(levels: Tensor, factors: Tensor) -> Tensor:
    """Return RGB images (N, 3, H, W) of more or less colour: the plainer image is its gray.

    Images of a single channel (N, 1, H, W) stay as they are.
    """
    return _blended(gray(levels), levels, factors)


def sharpness(levels: Tensor, factors: Tensor) -> Tensor:
    """Return images (N, C, H, W) that are sharper or softer: the plainer image is smoothed.

    Smoothed by Pillow's 3x3 filter, whose centre weighs 5 and all else 1; the border is kept. H and
    W are at least 3.
    """
    smooth = levels.clone()
    lines = levels[..., :-2, :] + levels[..., 1:-1, :] + levels[..., 2:, :]
    sums = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:] + 4 * levels[..., 1:-1, 1:-1]
    smooth[..., 1:-1, 1:-1] = (sums / 13 + 0.5).floor_()
    return _blended(smooth, levels, factors)


def _blended(plainer: Tensor, levels: Tensor, factors: Tensor) -> Tensor:
    return (levels - plainer).mul_(_each(factors)).add_(plainer).clamp_(0, 255)


def _each(factors: Tensor) -> Tensor:
    return factors.to(torch.float32)[:, None, None, None]
