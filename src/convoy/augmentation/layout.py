"""Two views of a batch's bytes: channels last as training reads it, and planes a channel.

Moving and selecting bytes is several times faster by whole rows than by pixels of three bytes.
"""

import torch
from torch import Tensor


def rows(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) as (N, H, W * C): no copy if they are channels last in memory."""
    count, channels, height, width = images.shape
    return images.permute(0, 2, 3, 1).reshape(count, height, width * channels)


def from_rows(rows: Tensor, channels: int) -> Tensor:
    """Return rows (N, H, W * C) as images (N, C, H, W), channels last in memory."""
    count, height, length = rows.shape
    return rows.view(count, height, length // channels, channels).permute(0, 3, 1, 2)


def planes(images: Tensor) -> Tensor:
    """Return images with each channel in one piece: arithmetic is then up to ten times faster."""
    return images.contiguous()


def channels_last(images: Tensor) -> Tensor:
    """Return images as convolutions read them."""
    return images.contiguous(memory_format=torch.channels_last)
