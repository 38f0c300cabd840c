"""Prepared images as pictures for people, whatever their colour."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convoy.decoding import Channels, converted
from convoy.preprocessing import resize

LONGEST = 150
"""Pixels of a picture's side; those of larger images are made smaller."""

NAMES: dict[Channels, tuple[str, ...]] = {
    "gray": ("gray",),
    "rgb": ("red", "green", "blue"),
    "hsv": ("hue", "saturation", "value"),
    "cmyk": ("cyan", "magenta", "yellow", "black"),
}
"""What a network sees of an image, by channel."""


def pictures(images: Tensor, longest: int = LONGEST) -> NDArray[np.uint8]:
    """Return prepared images (N, H, W, C) uint8 as RGB (N, H, W, 3) uint8."""
    if max(images.shape[1:3]) > longest:
        images = resize(images.permute(0, 3, 1, 2), longest).permute(0, 2, 3, 1)
    return converted(np.ascontiguousarray(images.numpy()), "rgb")


def glowing(picture: NDArray[np.uint8], heat: Tensor, colour: str) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) in gray that glows in a colour where heat (h, w), 0 to 1, is."""
    height, width = picture.shape[:2]
    spread = torch.nn.functional.interpolate(
        heat[None, None], size=(height, width), mode="bilinear", align_corners=False
    )
    strength = spread[0, 0, :, :, None].cpu().numpy() * 0.8
    gray = picture.mean(axis=2, keepdims=True)
    light = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    glow: NDArray[np.uint8] = (gray * (1 - strength) + light * strength).round().astype(np.uint8)
    return glow
