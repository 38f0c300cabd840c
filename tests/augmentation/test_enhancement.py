"""The four enhancements give Pillow's pixels, each image by its own factor."""

from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from convoy.augmentation import enhancement
from tests.augmentation.pictures import noise, pillow, tensor

FACTORS = torch.tensor([0.0, 0.1, 0.37, 0.5, 1.0, 1.3, 1.9, 3.0])
PAIRS = [
    (enhancement.brightness, ImageEnhance.Brightness),
    (enhancement.contrast, ImageEnhance.Contrast),
    (enhancement.saturation, ImageEnhance.Color),
    (enhancement.sharpness, ImageEnhance.Sharpness),
]
Enhance = Callable[[Tensor, Tensor], Tensor]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda one: one.__name__)
def test_each_image_is_enhanced_as_pillow_does(
    ours: Enhance, theirs: Callable[[Image.Image], ImageEnhance._Enhance], channels: int
) -> None:
    for height, width, seed in ((20, 13, 0), (3, 3, 1), (40, 40, 2)):
        images = noise(len(FACTORS), channels, height, width, seed=seed)
        found = ours(images.float(), FACTORS).to(torch.uint8)
        for number, image in enumerate(images):
            expected = theirs(pillow(image)).enhance(float(FACTORS[number]))
            assert torch.equal(found[number], tensor(expected))


def test_gray_is_that_of_pillow() -> None:
    images = noise(1, 3, 64, 64)
    expected = tensor(pillow(images[0]).convert("L"))
    assert torch.equal(enhancement.gray(images.float())[0].to(torch.uint8), expected)


def test_the_colour_of_gray_images_stays() -> None:
    images = noise(8, 1, 5, 5).float()
    assert torch.equal(enhancement.saturation(images, FACTORS), images)
