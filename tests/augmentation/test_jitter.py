"""Colour jitter: hue as the standard library turns it, factors over their whole range."""

import colorsys

import pytest
import torch

from convoy.augmentation.jitter import hue, jittered
from convoy.augmentation.settings import Jitter
from tests.augmentation.pictures import noise, seeded


def test_hue_turns_as_in_the_hexcone() -> None:
    images = noise(7, 3, 12, 11)
    images[0, :, :2] = images[0, :1, :2]  # grays
    images[1, 0] = images[1, 1]  # two channels alike
    images[2] = images[2] // 128 * 255
    turns = torch.tensor([0.1, 0.25, -0.5, 0.5, 0.0, -0.03, 1 / 3])
    found = hue(images.float(), turns)
    for number, image in enumerate(images):
        for pixel, got in zip(image.flatten(1).T / 255, found[number].flatten(1).T, strict=True):
            angle, saturation, value = colorsys.rgb_to_hsv(*pixel.tolist())
            expected = colorsys.hsv_to_rgb((angle + float(turns[number])) % 1, saturation, value)
            assert got.tolist() == pytest.approx([255 * level for level in expected], abs=0.01)


def test_no_turn_and_a_whole_sextant_are_exact() -> None:
    images = noise(2, 3, 9, 9).float()
    found = hue(images, torch.tensor([0, 1 / 3]))
    assert (found[0] - images[0]).abs().max() < 1e-3
    assert (found[1] - images[1].roll(1, 0)).abs().max() < 1e-2  # red becomes green


def test_brightness_factors_are_uniform_and_each_image_has_its_own() -> None:
    found = jittered(
        torch.full((4000, 1, 2, 2), 100, dtype=torch.uint8), Jitter(brightness=0.4), seeded()
    )
    factors = found.float().mean((1, 2, 3)) / 100
    assert (found == found[:, :, :1, :1]).all()
    assert 0.6 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.4
    assert factors.mean().item() == pytest.approx(1, abs=0.015)
    assert ((factors - 1).abs() < 0.2).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("part", ["brightness", "contrast", "saturation", "hue"])
def test_each_part_changes_images_by_itself_and_draws_for_each(part: str) -> None:
    image = noise(1, 3, 8, 8)
    found = jittered(image.expand(16, -1, -1, -1), Jitter.model_validate({part: 0.3}), seeded())
    assert found.dtype == torch.uint8
    assert len({bytes(one.contiguous().numpy()) for one in found}) == 16
    off = (found.float() - image.float()).abs().mean((1, 2, 3))
    assert off.max() > 10
    assert off.min() < off.max() / 4


def test_contrast_keeps_the_mean_and_saturation_keeps_the_gray() -> None:
    images = noise(50, 3, 16, 16) // 2 + 64  # far enough from black and white to be cut off nowhere
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]

    def grays(batch: torch.Tensor) -> torch.Tensor:
        return (batch.float() * weights).sum(1)

    contrasted = jittered(images, Jitter(contrast=0.4), seeded())
    assert (grays(contrasted).mean((1, 2)) - grays(images).mean((1, 2))).abs().max() < 1
    saturated = jittered(images, Jitter(saturation=0.4), seeded())
    assert (grays(saturated) - grays(images)).abs().max() < 2
