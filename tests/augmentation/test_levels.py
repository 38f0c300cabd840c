"""The operations on single levels give Pillow's pixels, bit for bit."""

import pytest
import torch
from PIL import ImageOps
from torch import Tensor

from convoy.augmentation import levels
from tests.augmentation.pictures import noise, pillow, tensor


def batch(channels: int) -> Tensor:
    """Every level, few levels, one level, two of them, small images, a narrow range."""
    images = noise(9, channels, 24, 17)
    images[1] //= 9
    images[2] = images[2] // 3 + 90
    images[3] = 77
    images[4] = (images[4] > 200) * 3 + 20
    images[5] = (images[5] > 10) * 255
    images[6, :, :12] = 255
    images[7, :1] = 0
    images[8] = images[8] // 128 * 100 + images[8] // 64
    return images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_levels_are_spread_as_pillow_spreads_them(name: str, channels: int) -> None:
    for images in (batch(channels), noise(2, channels, 3, 3), noise(2, channels, 90, 80)):
        found = getattr(levels, name)(images)
        for number, image in enumerate(images):
            assert torch.equal(found[number], tensor(getattr(ImageOps, name)(pillow(image))))


@pytest.mark.parametrize("channels", [1, 3])
def test_levels_from_the_threshold_on_are_inverted(channels: int) -> None:
    images = noise(6, channels, 16, 16)
    thresholds = torch.tensor([0, 1, 128, 200, 255, 256])
    found = levels.solarize(images, thresholds)
    for number, image in enumerate(images):
        expected = ImageOps.solarize(pillow(image), int(thresholds[number]))
        assert torch.equal(found[number], tensor(expected))


@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_upper_bits_are_kept(channels: int) -> None:
    images = noise(8, channels, 16, 16)
    found = levels.posterize(images, torch.arange(1, 9))
    for number, image in enumerate(images):
        assert torch.equal(found[number], tensor(ImageOps.posterize(pillow(image), number + 1)))
