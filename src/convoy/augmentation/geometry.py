"""Where pixels go: shift, flip, rotation and any affine map, for any number of channels."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from convoy.augmentation.layout import from_rows, rows


def shifted(images: Tensor, pixels: int, generator: torch.Generator, fill: int = 0) -> Tensor:
    """Return images (N, C, H, W) uint8, each moved by a draw of up to `pixels` in either direction.

    This is the random crop of a padded image (He et al. 2015, section 4.2). `fill` moves in.
    """
    count, channels, height, width = images.shape
    length = width * channels
    aside = pixels * channels
    padded = F.pad(rows(images), (aside, aside, pixels, pixels), value=fill).view(-1)
    down, right = torch.randint(
        2 * pixels + 1, (2, count, 1), generator=generator, device=images.device
    )
    line = torch.arange(count, device=images.device)[:, None] * (height + 2 * pixels)
    line = line + down + torch.arange(height, device=images.device)
    starts = line * (length + 2 * aside) + right * channels
    # A row begins at any byte, so the rows to choose from overlap; each is copied in one piece.
    anywhere = padded.as_strided((len(padded) - length + 1, length), (1, 1))
    chosen = anywhere.index_select(0, starts.view(-1))
    return from_rows(chosen.view(count, height, length), channels)


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each mirrored left to right by the toss of a coin."""
    count = len(images)
    drawn = torch.randint(2, (count,), generator=generator, device=images.device)
    # Whole images chosen among both forms: a mask of those to mirror would have to be counted, for
    # which a GPU waits, and costs a CPU more.
    both = torch.cat((rows(images), rows(images.flip(3))))
    chosen = both.index_select(0, torch.arange(count, device=images.device) + count * drawn)
    return from_rows(chosen, images.shape[1])


def rotated(images: Tensor, degrees: float, generator: torch.Generator, fill: int = 0) -> Tensor:
    """Return images (N, C, H, W) uint8, each turned about its centre by up to `degrees` each way.

    Angles are uniform; what moves in at the corners is `fill`.
    """
    angles = torch.empty(len(images), device=images.device)
    angles.uniform_(-math.radians(degrees), math.radians(degrees), generator=generator)
    return affine(images, rotation(angles), fill)


def affine(images: Tensor, matrices: Tensor, fill: int = 0) -> Tensor:
    """Return images (N, C, H, W) uint8 that take each pixel from where its matrix (2, 3) says.

    A matrix maps a target (x, y, 1) to its source, both in pixels from the image's centre. Between
    pixels it is bilinear, rounded to the nearest level; outside the image all is `fill`.
    """
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    across, down, offset = matrices[..., None, None].unbind(2)  # N x 2 x 1 x 1
    # By broadcasting: `F.affine_grid` multiplies matrices, ten times slower and in half precision
    # wherever training is.
    sources = across * x + (down * y + offset)  # N x 2 x H x W
    sources[:, 0] *= 2 / width
    sources[:, 1] *= 2 / height
    levels = images.contiguous().to(torch.float32)
    found = F.grid_sample(
        levels - fill if fill else levels,
        sources.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    if fill:
        found += fill
    return found.round_().to(torch.uint8)


def rotation(radians: Tensor) -> Tensor:
    """Return the matrices (N, 2, 3) that turn by these angles (N,), counter-clockwise."""
    cosine, sine, none = radians.cos(), radians.sin(), torch.zeros_like(radians)
    return _matrices(cosine, -sine, none, sine, cosine, none)


def shear(x: Tensor, y: Tensor) -> Tensor:
    """Return the matrices (N, 2, 3) that slant by `x` pixels a row and `y` pixels a column."""
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return _matrices(one, x, none, y, one, none)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Return the matrices (N, 2, 3) that take what is `x` pixels to the right and `y` below."""
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return _matrices(one, none, x, none, one, y)


def _matrices(*entries: Tensor) -> Tensor:
    return torch.stack(entries, dim=1).view(-1, 2, 3)
