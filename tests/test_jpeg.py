"""Photographs are decoded at no more of their size than is needed, alike by either decoder."""

import io
import random
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from convoy import jpeg
from convoy.decoding import Channels, FileImage, read
from convoy.formats import Unreadable
from convoy.preprocessing import resize
from tests.pictures import jpeg as encoded
from tests.pictures import noise


@pytest.fixture
def through_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, int], object]:
    """The verdict of a machine without simplejpeg."""

    def found(data: bytes, side: int) -> object:
        with monkeypatch.context() as without:
            without.setattr(jpeg, "simplejpeg", None)
            return verdict(data, side)

    return found


def verdict(data: bytes, side: int | None, channels: Channels = "rgb") -> object:
    try:
        image = read(data, channels, "", side)
    except Unreadable as error:
        return str(error)
    return (*image[1:], image.pixels.shape, image.pixels.tobytes())


def reduced(data: bytes, part: int) -> NDArray[np.uint8]:
    """Pillow's own draft."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft(None, (opened.width // part, opened.height // part))
        return np.asarray(opened)


@pytest.mark.parametrize(
    ("width", "height", "side", "part"),
    [
        (400, 533, None, 1),
        (400, 533, 224, 1),
        (400, 533, 201, 1),
        (400, 533, 200, 2),
        (400, 533, 101, 2),
        (533, 400, 100, 4),
        (400, 533, 51, 4),
        (400, 533, 50, 8),
        (400, 533, 8, 8),
        (256, 256, 8, 1),
        (257, 256, 8, 8),
        (4000, 3000, 224, 8),
        (100_000, 10, 8, 1),
    ],
)
def test_both_sides_stay_as_long_as_they_are_asked_for(
    width: int, height: int, side: int | None, part: int
) -> None:
    assert jpeg.part(width, height, side) == part


@pytest.mark.parametrize(("side", "part"), [(130, 2), (65, 4), (32, 8)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2"},
        {"progressive": True},
        {"restart_marker_rows": 1},
        {"keep_rgb": True},
        {"quality": 30},
    ],
    ids=str,
)
def test_a_photograph_has_the_pixels_of_pillows_draft(
    side: int, part: int, options: dict[str, object], through_pillow: Callable[[bytes, int], object]
) -> None:
    for pixels in (noise(301, 267), noise(301, 267)[..., 0]):
        data = encoded(pixels, **options)
        channels: Channels = "rgb" if pixels.ndim == 3 else "gray"
        image = read(data, channels, "", side)
        assert (image.width, image.height) == (267, 301)
        assert (image.pixels.squeeze() == reduced(data, part)).all()
        assert image.pixels.flags.writeable and image.pixels.flags.c_contiguous
        assert verdict(data, side) == through_pillow(data, side)


def test_a_photograph_of_inks_is_reduced_too() -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(300, 260)).convert("CMYK").save(stream, "JPEG")
    image = read(stream.getvalue(), "cmyk", "", 64)
    assert (image.pixels == reduced(stream.getvalue(), 4)).all()
    assert (image.width, image.height) == (260, 300)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_reduced_and_upright(
    orientation: int, through_pillow: Callable[[bytes, int], object]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(300, 260), exif=exif)
    image = read(data, "rgb", "", 64)
    sides = (260, 300) if orientation <= 4 else (300, 260)
    assert (image.width, image.height) == sides
    assert image.pixels.shape == (-(-sides[1] // 4), -(-sides[0] // 4), 3)
    assert image.orientation == orientation
    assert verdict(data, 64) == through_pillow(data, 64)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "TIFF"])
def test_no_other_format_is_reduced(form: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(300, 260)).save(stream, form, lossless=True)
    image: FileImage = read(stream.getvalue(), "rgb", "", 32)
    assert (image.pixels == noise(300, 260)).all()


def test_a_damaged_photograph_has_one_verdict_by_either_decoder(
    through_pillow: Callable[[bytes, int], object],
) -> None:
    draw = random.Random(0)
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}):
        whole = encoded(noise(270, 260), quality=30, **options)
        head = whole.index(b"\xff\xda") + 12
        for number in range(60):
            data = bytearray(whole)
            for _ in range(draw.randint(1, 3)):
                data[draw.randrange(3, head if number % 2 else len(data))] = draw.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert verdict(bytes(data), 64) == through_pillow(bytes(data), 64)


def test_a_reduced_photograph_is_resized_to_what_the_whole_one_would_be() -> None:
    """Within some levels: what JPEG's own transform leaves out is what the resize smooths away.

    At the far edges it may have moved by half a pixel, as 533 are 67 times 8 and 3 that are not.
    """
    down, across = np.mgrid[0:533, 0:400]
    waves = np.sin(down / 17) * np.cos(across / 23) * 60
    photograph = np.stack([128 + waves, 100 + down / 8, 40 + across / 3], axis=-1).astype(np.uint8)
    data = encoded(photograph, quality=90)
    for side in (50, 64, 100, 128, 200):
        one, other = (
            resize(
                torch.from_numpy(read(data, "rgb", "", asked).pixels[None]).permute(0, 3, 1, 2),
                side,
            )
            for asked in (None, side)
        )
        apart = (one.int() - other.int()).abs()
        assert apart.max() <= 12
        assert apart.double().mean() < 1
