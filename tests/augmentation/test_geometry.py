"""Where pixels go, against loops over images and pixels."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from convoy.augmentation import geometry
from tests.augmentation.pictures import noise, seeded


def moved(image: Tensor, down: int, right: int, fill: int) -> Tensor:
    """An image (C, H, W) whose pixels come from `down` and `right` of where they go."""
    found = torch.full_like(image, fill)
    height, width = image.shape[1:]
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                found[:, row, column] = image[:, row + down, column + right]
    return found


def sampled(image: Tensor, matrix: Tensor, fill: int) -> Tensor:
    """An image (C, H, W), bilinear from where the matrix says, one pixel after another."""
    height, width = image.shape[1:]
    entries = matrix.double().tolist()

    def at(row: int, column: int) -> Tensor:
        inside = 0 <= row < height and 0 <= column < width
        return image[:, row, column].double() if inside else torch.full((len(image),), fill * 1.0)

    found = torch.empty(image.shape, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            target = (column - (width - 1) / 2, row - (height - 1) / 2, 1)
            x, y = (sum(a * b for a, b in zip(line, target, strict=True)) for line in entries)
            x, y = x + (width - 1) / 2, y + (height - 1) / 2
            left, upper = math.floor(x), math.floor(y)
            found[:, row, column] = sum(
                at(upper + j, left + i)
                * ((x - left) if i else (left + 1 - x))
                * ((y - upper) if j else (upper + 1 - y))
                for i in (0, 1)
                for j in (0, 1)
            )
    return found


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("pixels", "fill"), [(1, 0), (2, 7), (6, 0)])
def test_each_image_is_shifted_as_a_loop_would(channels: int, pixels: int, fill: int) -> None:
    images = noise(9, channels, 4, 5)
    found = geometry.shifted(images, pixels, seeded(), fill)
    draws = torch.randint(2 * pixels + 1, (2, 9, 1), generator=seeded()) - pixels
    for number, image in enumerate(images):
        down, right = (int(draw[number]) for draw in draws)
        assert torch.equal(found[number], moved(image, down, right, fill))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_every_shift_is_as_likely() -> None:
    point = torch.zeros(5000, 1, 5, 5, dtype=torch.uint8)
    point[:, :, 2, 2] = 1
    found = geometry.shifted(point, 2, seeded())
    assert (found.sum((1, 2, 3)) == 1).all()
    counts = found.sum((0, 1), dtype=torch.int64)
    assert counts.min() > 140  # of 200 each, which vary by 14
    assert counts.max() < 260


def test_a_shift_beyond_the_image_leaves_the_fill() -> None:
    found = geometry.shifted(noise(200, 3, 4, 4) | 1, 8, seeded())
    empty = (found == 0).flatten(1).all(1)
    assert empty.any()
    assert not empty.all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_flipping_mirrors_half_of_the_images_and_leaves_the_others(channels: int) -> None:
    images = noise(2000, channels, 4, 5)
    found = geometry.flipped(images, seeded())
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    same = (found == images).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 900 < mirrored.sum() < 1100
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("fill", [0, 200])
@pytest.mark.parametrize("shape", [(6, 3, 7, 7), (6, 1, 6, 9), (6, 4, 10, 5)], ids=str)
def test_an_affine_map_is_bilinear_pixel_by_pixel(shape: tuple[int, ...], fill: int) -> None:
    images = noise(*shape)
    matrices = torch.randn(len(images), 2, 3, generator=seeded())
    matrices[0] = geometry.rotation(torch.tensor([0.3]))[0]
    found = geometry.affine(images, matrices, fill)
    assert found.dtype == torch.uint8
    for number, image in enumerate(images):
        off = found[number] - sampled(image, matrices[number], fill)
        assert off.abs().max() < 0.501  # rounded once, from coordinates of single precision


def test_a_quarter_turn_is_counter_clockwise_and_exact() -> None:
    images = noise(4, 3, 8, 8)
    angles = torch.tensor([0, 90, 180, 270]).deg2rad()
    found = geometry.affine(images, geometry.rotation(angles))
    for number, image in enumerate(images):
        assert torch.equal(found[number], image.rot90(number, (1, 2)))


def test_translations_move_whole_pixels_exactly_and_shears_slant() -> None:
    images = noise(2, 3, 6, 9)
    right, down = torch.tensor([2.0, -1.0]), torch.tensor([0.0, 3.0])
    found = geometry.affine(images, geometry.translation(right, down), 5)
    for number, image in enumerate(images):
        assert torch.equal(found[number], moved(image, int(down[number]), int(right[number]), 5))
    column = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    column[..., 2] = 1
    one, none = torch.ones(1), torch.zeros(1)
    diagonal = geometry.affine(column, geometry.shear(one, none))
    assert torch.equal(diagonal[0, 0], torch.eye(5, dtype=torch.uint8).flip(0))
    row = column.transpose(2, 3)
    assert torch.equal(geometry.affine(row, geometry.shear(none, one)), diagonal)


def test_angles_are_uniform_both_ways() -> None:
    ramp = (5 * torch.arange(41)).to(torch.uint8).expand(2000, 1, 41, 41)
    found = geometry.rotated(ramp, 20, seeded())[:, 0].float()
    across = found[:, 20, 30] - found[:, 20, 10]
    up = found[:, 10, 20] - found[:, 30, 20]
    degrees = torch.atan2(up, across).rad2deg()
    assert degrees.abs().max() < 21
    assert degrees.abs().max() > 19
    quarters = Counter(((degrees + 20) // 10).clamp(0, 3).int().tolist())
    assert len(quarters) == 4
    assert all(400 < count < 600 for count in quarters.values())
