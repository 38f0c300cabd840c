"""Batches to augment, and one image of them as Pillow has it."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Images (N, C, H, W) uint8, channels last in memory, every level equally likely."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))
    return images.contiguous(memory_format=torch.channels_last)


def pillow(image: Tensor) -> Image.Image:
    """An image (C, H, W) uint8 of one or three channels."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def tensor(image: Image.Image) -> Tensor:
    """Pillow's image as (C, H, W) uint8."""
    pixels = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
