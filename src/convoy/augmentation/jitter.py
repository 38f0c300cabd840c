"""Colour jitter: brightness, contrast, saturation and hue, each by a draw an image.

In this fixed order, where torchvision draws one for each image: a batch would be computed once for
every order that it has.
"""

import torch
from torch import Tensor

from convoy.augmentation import enhancement
from convoy.augmentation.settings import Jitter


def jittered(images: Tensor, jitter: Jitter, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W) uint8 of changed colour; saturation and hue need RGB.

    Each factor is uniform from 1 - value to 1 + value, the turn of the hue from -value to value.
    """
    levels = images.to(torch.float32)
    for change, reach in (
        (enhancement.brightness, jitter.brightness),
        (enhancement.contrast, jitter.contrast),
        (enhancement.saturation, jitter.saturation),
    ):
        if reach:
            factors = torch.empty(len(images), device=images.device)
            levels = change(levels, factors.uniform_(1 - reach, 1 + reach, generator=generator))
    if jitter.hue:
        turns = torch.empty(len(images), device=images.device)
        levels = hue(levels, turns.uniform_(-jitter.hue, jitter.hue, generator=generator))
    return levels.round().to(torch.uint8)


def hue(levels: Tensor, turns: Tensor) -> Tensor:
    """Return RGB images (N, 3, H, W), float32 levels, of the same saturation and value in HSV.

    `turns` (N,), -0.5 to 0.5, are the shares of the circle by which their hues turn.
    """
    red, green, blue = levels.unbind(dim=1)
    value = levels.amax(dim=1)
    chroma = value - levels.amin(dim=1)
    span = torch.where(chroma == 0, 1, chroma)  # of a gray, whose hue is then 0
    sextant = torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span)
    sextant = torch.where(value == red, (green - blue) / span, sextant)
    circle = sextant / 6 + turns[:, None, None]
    # A. R. Smith's hexcone the other way, one formula for all sextants; the 1 keeps it positive,
    # where `frac` is a third of the time of a remainder.
    channels = []
    for start in (5, 3, 1):
        place = (circle + (1 + start / 6)).frac_() * 6
        channels.append(value - chroma * torch.minimum(place, 4 - place).clamp_(0, 1))
    return torch.stack(channels, dim=1)
