"""That images are harmed as the table says, each time the same, whatever their form."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from convoy.evaluation import corruptions
from convoy.evaluation.corruptions import CORRUPTIONS
from tests.evaluation.pictured import shapes

NAMES = list(CORRUPTIONS)


def harmed(name: str, images: Tensor, seed: int = 0) -> list[Tensor]:
    one = CORRUPTIONS[name]
    return list(one.change(images, one.strengths, torch.Generator().manual_seed(seed)))


def planes(side: int = 32, channels: int = 1, count: int = 6) -> Tensor:
    return shapes(count, side, channels).permute(0, 3, 1, 2).contiguous()


def distance(images: Tensor, others: Tensor) -> float:
    return float((images.float() - others.float()).square().mean())


def test_there_are_the_seven_in_five_strengths_each() -> None:
    assert NAMES == ["noise", "blur", "contrast", "rotation", "shift", "occlusion", "jpeg"]
    assert {len(one.strengths) for one in CORRUPTIONS.values()} == {5}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("side", [8, 28, 67])
def test_images_keep_their_form_and_are_harmed_ever_more(
    name: str, channels: int, side: int
) -> None:
    images = planes(side, channels)
    found = harmed(name, images)
    assert len(found) == 5
    for one in found:
        assert one.dtype == torch.uint8
        assert one.shape == images.shape
    far = [distance(images, one) for one in found]
    assert far[-1] > far[0]
    assert far[-1] > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_images_and_none_is_changed_in_place(name: str) -> None:
    images = planes(channels=3)
    before = images.clone()
    first, second = harmed(name, images), harmed(name, images)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ["noise", "rotation", "shift", "occlusion"])
def test_another_seed_gives_other_images(name: str) -> None:
    images = planes()
    assert not torch.equal(harmed(name, images, 0)[-1], harmed(name, images, 1)[-1])


def test_noise_has_the_deviation_of_its_strength_and_one_grain_for_all() -> None:
    gray = torch.full((4, 1, 64, 64), 128, dtype=torch.uint8)
    found = harmed("noise", gray)
    for one, strength in zip(found, CORRUPTIONS["noise"].strengths, strict=True):
        # At the strongest the tails are cut off at black and white.
        assert float(one.float().std()) == pytest.approx(255 * strength, rel=0.06)
    signs = [(one.float() - 128).sign() for one in found]
    assert float((signs[1] == signs[-1]).float().mean()) > 0.95


def test_a_blurred_point_is_a_gaussian_of_a_share_of_the_side() -> None:
    point = torch.zeros(1, 1, 225, 225, dtype=torch.uint8)
    point[..., 110:115, 110:115] = 255
    strength = CORRUPTIONS["blur"].strengths[-1]
    (found,) = corruptions.blur(point, [strength], torch.Generator())
    levels = found[0, 0].double()
    place = torch.arange(225, dtype=torch.float64) - 112
    variance = float((levels.sum(dim=0) * place**2).sum() / levels.sum())
    # The box's own variance adds up, and whole levels cut the tails off.
    assert math.sqrt(variance - 2) == pytest.approx(strength * 225, rel=0.1)


def test_a_blur_leaves_an_even_image_even_at_its_border() -> None:
    even = torch.full((1, 3, 9, 9), 200, dtype=torch.uint8)
    assert all(torch.equal(one, even) for one in harmed("blur", even))


def test_contrast_is_what_is_left_of_the_distance_from_the_mean() -> None:
    images = torch.tensor([[0, 100], [100, 200]], dtype=torch.uint8).view(1, 1, 2, 2)
    half = harmed("contrast", images)[1]
    assert half.flatten().tolist() == [50, 100, 100, 150]


def test_a_rotation_turns_by_its_degrees_about_the_centre() -> None:
    images = torch.zeros(40, 1, 65, 65, dtype=torch.uint8)
    images[:, :, 6:11, 30:35] = 255  # above the centre
    sides = set()
    for one, degrees in zip(
        harmed("rotation", images), CORRUPTIONS["rotation"].strengths, strict=True
    ):
        for x, y in _centres(one):
            assert abs(math.degrees(math.atan2(x, -y))) == pytest.approx(degrees, abs=0.7)
            sides.add(x > 0)
    assert sides == {True, False}


def test_a_shift_goes_its_distance_in_directions_all_around() -> None:
    images = torch.zeros(200, 1, 64, 64, dtype=torch.uint8)
    images[:, :, 28:36, 28:36] = 255
    strength = CORRUPTIONS["shift"].strengths[-1]
    found = [complex(x, y) for x, y in _centres(harmed("shift", images)[-1])]
    assert np.abs(found) == pytest.approx(64 * strength, abs=0.2)
    quarters = np.histogram(np.angle(found), bins=4, range=(-math.pi, math.pi))[0]
    assert min(quarters) > 25


def test_what_moves_in_is_the_border_and_no_black() -> None:
    even = torch.full((3, 3, 20, 20), 77, dtype=torch.uint8)
    for name in ("rotation", "shift"):
        assert all(torch.equal(one, even) for one in harmed(name, even))


def test_an_occlusion_hides_a_square_inside_the_image_behind_its_mean() -> None:
    images = planes(40, 3, count=30)
    for one, strength in zip(
        harmed("occlusion", images), CORRUPTIONS["occlusion"].strengths, strict=True
    ):
        mean = images.float().mean(dim=(2, 3)).round()
        hidden = (one.float() == mean[:, :, None, None]).all(dim=1)
        side = round(strength * 40)
        assert (hidden.sum(dim=(1, 2)) >= side * side).all()
        assert ((one != images).any(dim=1).sum(dim=(1, 2)) <= side * side).all()


def test_jpeg_of_a_lower_quality_is_farther_from_the_image() -> None:
    images = planes(64, 3)
    far = [distance(images, one) for one in harmed("jpeg", images)]
    assert far == sorted(far)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_nearly_the_same_without_simplejpeg(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = planes(48, channels)
    with_it = harmed("jpeg", images)
    monkeypatch.setattr(corruptions, "simplejpeg", None)
    for one, other in zip(with_it, harmed("jpeg", images), strict=True):
        assert distance(one, other) < 0.2 * distance(images, other) + 1


def _centres(images: Tensor) -> Iterator[tuple[float, float]]:
    """Yield where the brightness of each image is, (x, y) in pixels from its centre."""
    side = images.shape[-1]
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    for image in images[:, 0].double():
        total = image.sum()
        yield float(image.sum(0) @ place / total), float(image.sum(1) @ place / total)
