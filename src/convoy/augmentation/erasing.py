"""Random erasing (Zhong et al. 2017): a rectangle of an image becomes noise."""

import torch
from torch import Tensor

from convoy.augmentation.boxes import Boxes, pasted

AREA = (0.02, 0.4)
"""Share of the image's pixels, uniform (section 3.2 and table 1 of the paper)."""
ASPECT = (0.3, 1 / 0.3)
"""Height over width, uniform."""
TRIES = 10
"""Shapes that are drawn; the first that fits is taken. In a square image 95 of 100 fit."""


def erased(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W) uint8, a `share` of them with a rectangle of noise.

    Each image draws whether, where and how large, and each of its bytes its level (RE-R, the
    paper's best). An image that no shape fits stays as it is.
    """
    boxes = draw(images, share, generator)
    # Eight levels a draw.
    words = -(-images.numel() // 8)
    noise = torch.empty(words, dtype=torch.int64, device=images.device)
    noise.random_(-(2**63), None, generator=generator)
    levels = noise.view(torch.uint8)[: images.numel()].view(images.permute(0, 2, 3, 1).shape)
    return pasted(images, levels.permute(0, 3, 1, 2), boxes)


def draw(images: Tensor, share: float, generator: torch.Generator) -> Boxes:
    """Return the rectangles to erase from images (N, C, H, W), most of them empty."""
    count, _, height, width = images.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(shape, device=images.device).uniform_(low, high, generator=generator)

    area = uniform(*AREA, count, TRIES) * (height * width)
    aspect = uniform(*ASPECT, count, TRIES)
    high, wide = (area * aspect).sqrt_().round_(), (area / aspect).sqrt_().round_()
    fits = (high <= height) & (wide <= width)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    chosen = fits.gather(1, first)[:, 0] & (uniform(0, 1, count) < share)
    high = high.gather(1, first)[:, 0].long() * chosen
    wide = wide.gather(1, first)[:, 0].long() * chosen
    # A draw of 31 bits, so that no remainder is more likely than another by more than 1e-6.
    top, left = torch.randint(2**31, (2, count), generator=generator, device=images.device)
    top, left = top % (height - high + 1), left % (width - wide + 1)
    return Boxes(top, top + high, left, left + wide)
