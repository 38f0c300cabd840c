"""Which image an image is: the same whatever is written beside it and however it was decoded."""

import hashlib
import io
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from convoy import content, jpeg
from convoy.decoding import Channels, read
from tests.pictures import jpeg as encoded
from tests.pictures import noise

PHOTOGRAPH = encoded(noise(300, 260), quality=80)
HEAD = PHOTOGRAPH[:2]


def of(data: bytes, side: int | None = None, channels: Channels = "rgb") -> bytes:
    return content.of_file(read(data, channels, "", side), data)


def segment(kind: int, written: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(written) + 2).to_bytes(2, "big") + written


def test_the_same_pixels_have_the_same_hash_however_they_lie_in_memory() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert content.of_pixels(image) == content.of_pixels(image.copy())
    assert content.of_pixels(image) == content.of_pixels(np.asfortranarray(image))


def test_one_pixel_or_another_shape_is_another_image() -> None:
    image: NDArray[np.uint8] = np.zeros((4, 4, 1), np.uint8)
    other = image.copy()
    other[3, 3] = 1
    hashes = {content.of_pixels(i) for i in (image, other, image.reshape(2, 8, 1), image[:2])}
    assert len(hashes) == 4


@pytest.mark.parametrize(("height", "known"), [(256, hashlib.sha256), (257, blake3)])
def test_large_images_have_the_faster_hash(height: int, known: Callable[[bytes], Any]) -> None:
    image: NDArray[np.uint8] = np.full((height, 256, 3), 7, np.uint8)
    shape = f"{height}x256x3:".encode()
    assert content.of_pixels(image) == known(shape + image.tobytes()).digest()


# Photographs.


@pytest.mark.parametrize("side", [None, 32, 64, 130])
@pytest.mark.parametrize("channels", get_args(Channels))
def test_a_photograph_is_the_same_at_whatever_size_and_in_whatever_colour_it_is_decoded(
    side: int | None, channels: Channels
) -> None:
    assert of(PHOTOGRAPH, side, channels) == of(PHOTOGRAPH)


@pytest.mark.parametrize(
    "beside",
    [
        segment(0xFE, b"a comment with an end \xff\xd9 in it"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        segment(0xE1, b"Exif\0\0torn"),
        segment(0xE2, b"ICC_PROFILE\0\1\1 none"),
        segment(0xED, b"Photoshop 3.0\0"),
    ],
)
def test_what_is_written_beside_the_pixels_does_not_matter(beside: bytes) -> None:
    assert of(HEAD + beside + PHOTOGRAPH[2:]) == of(PHOTOGRAPH)
    assert of(PHOTOGRAPH + b"what a program wrote behind the end") == of(PHOTOGRAPH)


def test_a_jfif_segment_counts_by_its_name_alone() -> None:
    """Its density and preview are nothing to the pixels; that it is there may be to the colours."""
    length = 4 + int.from_bytes(PHOTOGRAPH[4:6], "big") - 2
    assert PHOTOGRAPH[6:10] == b"JFIF"
    other = segment(0xE0, PHOTOGRAPH[6:13] + b"\1\0\x48\0\x48\0\0")
    rest = PHOTOGRAPH[2 + length :]
    assert of(HEAD + other + rest) == of(PHOTOGRAPH)
    assert of(HEAD + rest) != of(PHOTOGRAPH)


def test_another_quality_another_way_up_and_one_other_coefficient_are_other_images() -> None:
    sideways = Image.Exif()
    sideways[0x0112] = 6
    changed = bytearray(PHOTOGRAPH)
    changed[len(changed) // 2] ^= 4
    others = [
        encoded(noise(300, 260), quality=81),
        encoded(noise(300, 260), quality=80, exif=sideways),
        encoded(noise(300, 260, seed=1), quality=80),
        bytes(changed),
    ]
    assert len({of(data) for data in (PHOTOGRAPH, *others)}) == 5


def test_the_way_up_counts_and_not_what_else_the_camera_wrote() -> None:
    found = set()
    for maker in ("one", "another"):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, maker
        found.add(of(encoded(noise(300, 260), quality=80, exif=exif)))
    assert len(found) == 1


def test_an_unusual_photograph_is_told_by_all_its_bytes() -> None:
    padded = HEAD + b"\xff" + PHOTOGRAPH[2:]  # a marker may have any number of ones before it
    assert jpeg.coded(padded) == padded
    assert of(padded) == of(padded, 32) != of(PHOTOGRAPH)


def test_a_small_jpeg_and_a_large_image_of_another_format_are_told_by_their_pixels() -> None:
    small = encoded(noise(256, 256), quality=80)
    image = read(small, "rgb", "", 32)
    assert content.of_file(image, small) == content.of_pixels(read(small, "rgb").pixels)
    assert image.pixels.shape == (256, 256, 3)
    for form in ("PNG", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(noise(300, 260)).save(stream, form)
        assert of(stream.getvalue(), 32) == content.of_pixels(noise(300, 260))
