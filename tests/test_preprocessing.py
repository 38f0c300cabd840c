"""One resize and one normalisation: the same bits from ingestion and from the registered graph."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from convoy.decoding import COUNT, Channels
from convoy.preprocessing import Preprocessing, colour, resize, resize_by_matrices

SIZES = [
    (28, 28, 32),
    (32, 32, 32),
    (40, 50, 16),
    (37, 211, 64),
    (400, 533, 64),
    (400, 533, 96),
    (400, 533, 224),
    (533, 400, 64),
    (64, 30, 64),
    (1, 1, 16),
    (1, 5000, 32),
    (5000, 1, 32),
    (3000, 2000, 224),
    (30_000, 3, 8),
    (4096, 1024, 32),
    (768, 640, 1024),
]
"""Height, width and side: to smaller and to larger, odd and even, one side as it is."""


def drawn(*shape: int, seed: int = 0, extreme: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return (images > 127).to(torch.uint8) * 255 if extreme else images


def test_an_image_of_the_right_size_comes_out_bit_for_bit() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(12).view(1, 3, 32, 32)
    assert torch.equal(resize(images, 32), images)
    assert torch.equal(resize_by_matrices(images, 32), images)


def test_resizing_takes_each_image_by_itself() -> None:
    images = drawn(5, 3, 40, 27)
    resized = resize(images, 16)
    assert resized.shape == (5, 3, 16, 16)
    assert resized.dtype == torch.uint8
    assert torch.equal(resized, torch.cat([resize(image[None], 16) for image in images]))


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(1, 1, 64, 64)
    assert resize(stripes, 8).float().sub(127.5).abs().max() < 5


def test_resizing_is_that_of_pillow_but_for_rounding() -> None:
    photograph = drawn(1, 3, 120, 90)
    image = Image.fromarray(photograph[0].permute(1, 2, 0).numpy())
    expected = np.array(image.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(resize(photograph, 32)[0].permute(1, 2, 0).numpy() - expected).max() <= 1


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 3, 4])
def test_matrices_resize_as_the_kernel_does(size: tuple[int, int, int], count: int) -> None:
    height, width, side = size
    for extreme in (False, True):
        images = drawn(1, count, height, width, extreme=extreme)
        assert torch.equal(resize(images, side), resize_by_matrices(images, side))


@pytest.mark.parametrize("side", [8, 13, 16, 28, 32, 64])
def test_matrices_resize_as_the_kernel_does_at_every_small_size(side: int) -> None:
    for length in range(1, 81):
        other = (length * 7 + side) % 80 + 1
        for height, width in ((length, other), (other, length)):
            images = drawn(2, 3, height, width, seed=length, extreme=length % 3 == 0)
            assert torch.equal(resize(images, side), resize_by_matrices(images, side))


def test_where_pixels_lie_in_memory_makes_no_difference() -> None:
    images = drawn(3, 3, 37, 50)
    expected = resize(images, 16)
    wider = torch.cat([images, images], dim=3)
    for view in (
        images.contiguous(memory_format=torch.channels_last),
        wider[..., :50],
        images.flip(2).contiguous(memory_format=torch.channels_last).flip(2),
    ):
        assert torch.equal(resize(view, 16), expected)
        assert torch.equal(resize_by_matrices(view, 16), expected)


@pytest.mark.soak
@pytest.mark.slow
def test_a_plain_processor_resizes_to_the_same_bits() -> None:
    """PyTorch has kernels for AVX2 and one for all others; which of them runs makes no difference.

    The program is this file's own test, on the plain kernels.
    """
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, "-k", "matrices_resize_as_the_kernel"],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        cwd=Path(__file__).parents[1],
        check=True,
        timeout=200,
    )


def test_hue_saturation_and_value_are_those_of_pillow_within_a_level() -> None:
    levels = torch.tensor([*range(0, 256, 5), 1, 2, 3, 126, 127, 128, 129, 252, 253, 254])
    rgb = torch.cartesian_prod(levels, levels, levels).to(torch.uint8)
    expected = np.array(Image.fromarray(rgb.numpy()[None]).convert("HSV"))[0].astype(float)
    found = colour(rgb.T[None], "hsv")[0].T
    assert found.dtype == torch.float32
    off = found.numpy() - expected  # Pillow cuts off what we keep
    assert off.min() >= -1e-4
    assert off.max() <= 1 + 1e-4
    assert found.min() == 0
    assert found.max() == 255


@pytest.mark.parametrize("channels", ["gray", "rgb", "cmyk"])
def test_other_colour_stays_as_it_is(channels: Channels) -> None:
    images = drawn(2, COUNT[channels], 5, 6)
    assert torch.equal(colour(images, channels), images.float())


def test_preprocessing_normalises_each_channel_with_its_own_moments() -> None:
    images = torch.tensor([100, 150, 200], dtype=torch.uint8).expand(2, 10, 12, 3)
    found = Preprocessing(8, "rgb", [90.0, 150.0, 210.0], [10.0, 1.0, 5.0])(images)
    assert found.shape == (2, 3, 8, 8)
    assert torch.equal(found, torch.tensor([1.0, 0.0, -2.0]).view(1, 3, 1, 1).expand(2, 3, 8, 8))


def test_colour_is_converted_after_resizing() -> None:
    """Of two reds whose hues lie at both ends, the middle is red and not cyan."""
    reds = torch.tensor([[255, 0, 10], [255, 10, 0]], dtype=torch.uint8).view(1, 1, 2, 3)
    hue = Preprocessing(8, "hsv", [0.0] * 3, [1.0] * 3)(reds)[0, 0]
    assert ((hue < 5) | (hue > 250)).all()


@pytest.mark.parametrize("channels", COUNT)
def test_a_raw_image_is_preprocessed_as_its_prepared_form(channels: Channels) -> None:
    count = COUNT[channels]
    raw = drawn(4, 50, 33, count)
    preprocessing = Preprocessing(24, channels, [100.0] * count, [50.0] * count)
    prepared = resize(raw.permute(0, 3, 1, 2), 24)
    assert torch.equal(preprocessing(raw), preprocessing(prepared.permute(0, 2, 3, 1)))
    assert torch.equal(preprocessing(raw), preprocessing.normalise(prepared))
