"""Operations that look each level up by itself, as Pillow's ImageOps define them, for uint8."""

import torch
from torch import Tensor


def autocontrast(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) uint8 with each channel stretched from 0 to 255."""
    low = images.amin(dim=(2, 3)).double()[..., None]
    high = images.amax(dim=(2, 3)).double()[..., None]
    level = torch.arange(256, device=images.device)
    # Pillow's arithmetic, in its own precision: it cuts off, so that the last bit counts. (A number
    # over a tensor would be the reciprocal times the number.)
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)
    stretched = (level * scale + -low * scale).clamp(0, 255)
    return _looked_up(images, torch.where(high > low, stretched, level))


def equalize(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) uint8 with the levels of each channel equally frequent."""
    count, channels = images.shape[:2]
    planes = images.reshape(count * channels, -1).long()
    # One line of counts, which has a form on GPUs that repeats bit for bit.
    place = planes + 256 * torch.arange(count * channels, device=images.device)[:, None]
    counts = torch.zeros(count * channels * 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(0, place.view(-1), torch.ones_like(place).view(-1))
    counts = counts.view(count, channels, 256)
    highest = counts.gather(2, images.amax(dim=(2, 3)).long()[..., None])
    step = (counts.sum(dim=2, keepdim=True) - highest) // 255
    below = counts.cumsum(dim=2) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    level = torch.arange(256, device=images.device)
    return _looked_up(images, torch.where(step > 0, table, level))


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Return images (N, C, H, W) uint8 with levels from each image's threshold (N,) on inverted."""
    return torch.where(images < thresholds[:, None, None, None], images, 255 - images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return images (N, C, H, W) uint8 whose levels keep the upper `bits` (N,), 0 to 8."""
    masks = (256 - 2 ** (8 - bits.long())).to(torch.uint8)
    return images & masks[:, None, None, None]


def _looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Return what tables (N, C, 256) hold, cut off, for each level of images (N, C, H, W)."""
    places = images.flatten(2).long()
    return tables.to(torch.uint8).gather(2, places).view(images.shape)
