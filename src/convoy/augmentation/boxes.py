"""Rectangles, one an image, and pasting what is within them."""

from typing import NamedTuple

import torch
from torch import Tensor

from convoy.augmentation.layout import from_rows, rows


class Boxes(NamedTuple):
    """Rows from `top` to before `bottom`, columns from `left` to before `right`: (N,) int64."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor

    def area(self) -> Tensor:
        """Return the pixels within each, (N,)."""
        return (self.bottom - self.top) * (self.right - self.left)


def pasted(images: Tensor, others: Tensor, boxes: Boxes) -> Tensor:
    """Return images (N, C, H, W) uint8 with what `others` have within each one's box."""
    channels = images.shape[1]
    lines, patches = rows(images), rows(others)
    height, length = lines.shape[1:]
    down = _within(height, boxes.top, boxes.bottom, images.device)[:, :, None]
    across = _within(length, boxes.left * channels, boxes.right * channels, images.device)
    # Bits instead of `torch.where`, which takes bytes one at a time: four times faster on a CPU.
    mask = down & across[:, None, :]
    return from_rows(lines ^ ((lines ^ patches) & mask), channels)


def _within(length: int, start: Tensor, stop: Tensor, device: torch.device) -> Tensor:
    """Return (N, length) uint8, all bits set from `start` to before `stop` (N,), else none."""
    place = torch.arange(length, device=device)
    return ((place >= start[:, None]) & (place < stop[:, None])).to(torch.uint8).neg_()
