"""Policies: what each operation does, and that each image draws one of the fourteen."""

import math
from collections import Counter

import pytest
import torch
from PIL import ImageEnhance, ImageOps
from torch import Tensor

from convoy.augmentation import geometry
from convoy.augmentation.policy import AUTOAUGMENT, OPERATIONS, WIDE, Space, applied, dealt
from convoy.augmentation.settings import Policy
from tests.augmentation.pictures import noise, pillow, seeded, tensor

# On images this small a second thread only waits for the first.
pytestmark = pytest.mark.usefixtures("one_thread")
RANDAUGMENT = Policy(name="randaugment", operations=1, magnitude=8)


def candidates(image: Tensor, strength: float, space: Space, side: int) -> dict[str, Tensor]:
    """What each operation makes of an image, by Pillow where Pillow has it, with either sign."""
    plain = pillow(image)
    found = {
        "identity": image,
        "autocontrast": tensor(ImageOps.autocontrast(plain)),
        "equalize": tensor(ImageOps.equalize(plain)),
        "solarize": tensor(ImageOps.solarize(plain, round(256 * (1 - strength)))),
        "posterize": tensor(ImageOps.posterize(plain, 8 - round(space.posterize * strength))),
    }
    pixels = space.translation(side) * strength
    for sign in (1, -1):
        factor = 1 + sign * space.enhancement * strength
        for name in ("color", "contrast", "brightness", "sharpness"):
            enhance = getattr(ImageEnhance, name.capitalize())
            found[f"{name} {sign}"] = tensor(enhance(plain).enhance(factor))
        slope = space.shear * strength * sign
        turn = math.radians(space.degrees) * strength * sign
        for name, matrix in (
            ("rotate", [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0]]),
            ("shear_x", [[1, slope, 0], [0, 1, 0]]),
            ("shear_y", [[1, 0, 0], [slope, 1, 0]]),
            ("translate_x", [[1, 0, sign * pixels], [0, 1, 0]]),
            ("translate_y", [[1, 0, 0], [0, 1, sign * pixels]]),
        ):
            found[f"{name} {sign}"] = geometry.affine(image[None], torch.tensor([matrix]))[0]
    return found


def recognised(images: Tensor, known: dict[str, Tensor]) -> list[str]:
    """The names of the candidates that images are, but for a level here or there."""
    table = torch.stack(list(known.values())).float().flatten(1)
    assert torch.pdist(table).min() > 40  # else they could not be told apart
    distance = torch.cdist(images.float().flatten(1), table)
    assert distance.min(dim=1).values.max() < 10
    names = list(known)
    return [names[place] for place in distance.argmin(dim=1).tolist()]


@pytest.mark.parametrize("space", [AUTOAUGMENT, WIDE], ids=["autoaugment", "wide"])
def test_each_image_has_one_operation_and_all_are_as_likely(space: Space) -> None:
    image = noise(1, 3, 40, 40)[0] // 2 + 30
    known = candidates(image, 0.7, space, 40)
    strengths = torch.full((14, 3), 0.7)
    generator = seeded()
    names: list[str] = []
    for _ in range(16):
        found = dealt(image.expand(42, -1, -1, -1), strengths, space, generator)
        names += recognised(found, known)
    counts = Counter(name.split()[0] for name in names)
    assert set(counts) == set(OPERATIONS)
    assert set(counts.values()) == {16 * 3}  # dealt, not drawn: exactly as many of each
    signs = Counter(name for name in names if " " in name)
    assert len(signs) == 18
    assert all(9 < count < 39 for count in signs.values())


@pytest.mark.parametrize("count", [1, 3, 15])
def test_in_a_small_batch_each_operation_is_as_likely(count: int) -> None:
    image = noise(1, 3, 16, 16)[0] // 2 + 30
    known = candidates(image, 0.8, AUTOAUGMENT, 16)
    generator = seeded()
    batches = 210 // count
    found = [
        applied(image.expand(count, -1, -1, -1), RANDAUGMENT, generator) for _ in range(batches)
    ]
    counts = Counter(name.split()[0] for name in recognised(torch.cat(found), known))
    assert set(counts) == set(OPERATIONS)
    assert all(3 < number < 33 for number in counts.values())  # of 15 each, which vary by 4


def test_an_image_keeps_its_place() -> None:
    images = (torch.arange(40, dtype=torch.uint8) * 6)[:, None, None, None].expand(-1, 3, 8, 8)
    found = dealt(images, torch.zeros(14, 3), AUTOAUGMENT, seeded())
    assert torch.equal(found, images)  # images of one level are those that no operation spreads


def test_at_no_strength_only_what_has_none_changes_images() -> None:
    image = noise(1, 3, 16, 16)[0] // 2 + 30
    policy = Policy(name="randaugment", operations=1, magnitude=0)
    found = applied(image.expand(42, -1, -1, -1), policy, seeded())
    known = {
        "identity": image,
        "autocontrast": tensor(ImageOps.autocontrast(pillow(image))),
        "equalize": tensor(ImageOps.equalize(pillow(image))),
    }
    assert Counter(recognised(found, known)) == {
        "identity": 36,
        "autocontrast": 3,
        "equalize": 3,
    }


def test_randaugment_applies_as_many_operations_as_it_is_told() -> None:
    images = noise(20, 3, 10, 14)
    twice = applied(images, RANDAUGMENT.model_copy(update={"operations": 2}), seeded())
    generator = seeded()
    once = applied(images, RANDAUGMENT, generator)
    assert torch.equal(twice, applied(once, RANDAUGMENT, generator))
    assert not torch.equal(twice, once)


def test_trivialaugment_draws_a_strength_for_each_image() -> None:
    image = noise(1, 3, 12, 12)
    found = applied(image.expand(1400, -1, -1, -1), Policy(name="trivial"), seeded())
    different = len({bytes(one.contiguous().numpy()) for one in found})
    # 31 strengths by two signs of nine, 31 of two that have fewer effects, and four without.
    assert 350 < different < 9 * 60 + 2 * 31 + 3
    known = candidates(image[0], 1.0, WIDE, 12)
    off = (found.float() - known["brightness -1"]).abs().flatten(1)
    assert (off <= 1).all(1).any()  # full strength, too


def test_gray_images_take_every_operation() -> None:
    images = noise(64, 1, 12, 12)
    found = applied(images, Policy(name="trivial"), seeded())
    assert found.shape == images.shape
    assert found.dtype == torch.uint8
    assert 40 < (found != images).flatten(1).any(1).sum() < 62
