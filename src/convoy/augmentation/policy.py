"""RandAugment (Cubuk et al. 2019) and TrivialAugment (Mueller & Hutter 2021) for whole batches.

Both draw for each image from the same fourteen operations. To compute each operation for the images
that drew it, and for no others, without asking the device how many those are, the batch is dealt:
there are as many slots for each operation, together at least as many as images, and a random
permutation puts every image in one. So each image has each operation with the same chance, and
what is left of independence is that two images have the same one slightly less often: with 256
images in 18 of 265 pairs instead of one in 14. Computing all fourteen for all images took more than
ten times as long (`benchmarks.augmentation`).

Pixels of a moved image are bilinear, where the papers' code takes the nearest.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from convoy.augmentation import enhancement, geometry, levels
from convoy.augmentation.settings import Policy

OPERATIONS = (
    "identity",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "solarize",
    "posterize",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "autocontrast",
    "equalize",
)
"""The fourteen of both papers; those that move pixels lie together and are one affine map."""
MOVES = slice(1, 6)


class Space(NamedTuple):
    """What an operation does at full strength; at none, each leaves an image as it is.

    Moves and enhancements go either way by the toss of a coin: where AutoAugment's scale of
    enhancement runs from 0.1 to 1.9, with nothing done in the middle, it runs from 1 to both ends.
    """

    degrees: float
    shear: float
    translation: Callable[[int], float]
    """Pixels, from the length of the side."""
    enhancement: float
    """How far a factor may be from 1."""
    posterize: int
    """Bits that are lost."""


AUTOAUGMENT = Space(30, 0.3, lambda side: side * 150 / 331, 0.9, 4)
"""Table 6 of Cubuk et al. 2018, which RandAugment refers to; 150 pixels of 331."""
WIDE = Space(135, 0.99, lambda side: 32, 0.99, 6)
"""Table 1 of Mueller & Hutter 2021; 32 pixels whatever the side."""
STRENGTHS = 31
"""From none to full strength, as TrivialAugment draws them."""


def applied(images: Tensor, policy: Policy, generator: torch.Generator, fill: int = 0) -> Tensor:
    """Return images (N, C, H, W) uint8, gray or RGB, changed by the policy; best as planes."""
    slots = (len(OPERATIONS), -(-len(images) // len(OPERATIONS)))
    if policy.name == "trivial":
        drawn = torch.randint(STRENGTHS, slots, generator=generator, device=images.device)
        return dealt(images, drawn / (STRENGTHS - 1), WIDE, generator, fill)
    assert policy.operations is not None
    assert policy.magnitude is not None
    strengths = torch.full(slots, policy.magnitude / 10, device=images.device)
    for _ in range(policy.operations):
        images = dealt(images, strengths, AUTOAUGMENT, generator, fill)
    return images


def dealt(
    images: Tensor, strengths: Tensor, space: Space, generator: torch.Generator, fill: int = 0
) -> Tensor:
    """Return images (N, C, H, W) uint8, each changed by one operation of its own.

    `strengths` (operations, slots), 0 to 1, are those of the slots, together at least N.
    """
    count = len(images)
    drawn = torch.randperm(strengths.numel(), generator=generator, device=images.device)
    signs = torch.randint(2, strengths.shape, generator=generator, device=images.device) * 2 - 1
    signed = strengths * signs
    # A slot that no image is dealt holds one all the same, which is left out again.
    laid = images.index_select(0, drawn % count).view(*strengths.shape, *images.shape[1:])
    moves = _moves(signed[MOVES], images.shape[2:], space)
    moved = geometry.affine(laid[MOVES].flatten(0, 1), moves, fill)
    parts = [laid[0], moved]
    for place in range(MOVES.stop, len(OPERATIONS)):
        change = _CHANGES[OPERATIONS[place]]
        parts.append(change(laid[place], strengths[place], signed[place], space))
    return torch.cat(parts).index_select(0, drawn.argsort()[:count])


def _moves(signed: Tensor, sides: torch.Size, space: Space) -> Tensor:
    """Return the moves' matrices (5 * slots, 2, 3) in the order of `OPERATIONS`."""
    turn, shear_x, shear_y, right, down = signed
    none = torch.zeros_like(turn)
    height, width = sides
    return torch.cat(
        (
            geometry.rotation(turn * math.radians(space.degrees)),
            geometry.shear(shear_x * space.shear, none),
            geometry.shear(none, shear_y * space.shear),
            geometry.translation(right * space.translation(width), none),
            geometry.translation(none, down * space.translation(height)),
        )
    )


Change = Callable[[Tensor, Tensor, Tensor, Space], Tensor]
"""Images, their strengths with and without a sign, and the space, to images."""


def _enhanced(by: Callable[[Tensor, Tensor], Tensor]) -> Change:
    def change(images: Tensor, strengths: Tensor, signed: Tensor, space: Space) -> Tensor:
        # Pillow cuts off as well.
        return by(images.to(torch.float32), 1 + signed * space.enhancement).to(torch.uint8)

    return change


_CHANGES: dict[str, Change] = {
    "solarize": lambda images, strengths, _, space: levels.solarize(
        images, (256 * (1 - strengths)).round().to(torch.int16)
    ),
    "posterize": lambda images, strengths, _, space: levels.posterize(
        images, 8 - (space.posterize * strengths).round()
    ),
    "color": _enhanced(enhancement.saturation),
    "contrast": _enhanced(enhancement.contrast),
    "brightness": _enhanced(enhancement.brightness),
    "sharpness": _enhanced(enhancement.sharpness),
    "autocontrast": lambda images, *_: levels.autocontrast(images),
    "equalize": lambda images, *_: levels.equalize(images),
}
