"""One decoder and one resize: every form of a picture ends as the same pixels, or is refused."""

import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convoy.errors import DataRefused
from convoy.preprocessing import Channels, Preprocessing, decode, resize

LEFT_RED = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8).repeat(16, 0).repeat(16, 1)
"""32 wide, 16 high: red on the left, blue on the right."""


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return folder / name


def refused(path: Path, match: str) -> None:
    """The file is refused by name, and is what it was."""
    before = path.read_bytes()
    with pytest.raises(DataRefused, match=match) as caught:
        decode(path, "rgb")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_a_lossless_file_gives_its_pixels(tmp_path: Path, suffix: str, channels: Channels) -> None:
    path = saved(tmp_path, Image.fromarray(LEFT_RED), f"a.{suffix}", lossless=True)
    pixels = decode(path, channels)
    expected = LEFT_RED if channels == "rgb" else np.array([76, 29], np.uint8).repeat(16)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (16, 32, 3 if channels == "rgb" else 1)
    assert (pixels == (expected if channels == "rgb" else expected[:, None])).all()


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(LEFT_RED), "a.jpg", format="PNG")
    assert (decode(path, "rgb") == LEFT_RED).all()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    path = saved(tmp_path, Image.fromarray(ramp), f"ramp.{suffix}")
    expected = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert (decode(path, "gray") == expected).all()
    assert (decode(path, "rgb") == expected).all()


def test_big_endian_sixteen_bits_are_scaled_too(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    image = Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes())
    path = saved(tmp_path, image, "ramp.tiff")
    assert (decode(path, "gray")[..., 0] == np.arange(256).reshape(16, 16)).all()


def test_what_shines_through_is_white(tmp_path: Path) -> None:
    hidden = np.zeros((4, 4, 4), np.uint8)  # black, wholly transparent
    hidden[:2, :, 3] = 255  # the upper half is opaque
    hidden[0, 0] = (200, 0, 0, 128)
    pixels = decode(saved(tmp_path, Image.fromarray(hidden), "a.png"), "rgb")
    assert (pixels[2:] == 255).all()
    assert (pixels[1] == 0).all()
    assert tuple(pixels[0, 0]) == (227, 127, 127)


def test_a_gray_with_alpha_and_one_with_a_transparent_level_are_over_white(tmp_path: Path) -> None:
    alpha = Image.merge("LA", (Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 0)))
    assert (decode(saved(tmp_path, alpha, "la.png"), "gray") == 255).all()
    level = saved(tmp_path, Image.new("L", (4, 4), 10), "l.png", transparency=10)
    assert (decode(level, "gray") == 255).all()


@pytest.mark.parametrize("level", [10, 40000])
def test_a_transparent_level_of_sixteen_bits_is_read_without_harm(
    tmp_path: Path, level: int
) -> None:
    values = np.full((4, 4), level, ">u2")
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 4, 16, values.tobytes(), trns=struct.pack(">H", level)))
    assert (decode(path, "gray") == 255).all()


def test_a_palette_gives_its_colours_and_its_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(LEFT_RED).quantize(2)
    assert (decode(saved(tmp_path, image, "a.png"), "rgb") == LEFT_RED).all()
    red = int(np.asarray(image)[0, 0])
    see_through = decode(saved(tmp_path, image, "b.png", transparency=red), "rgb")
    assert (see_through[:, :16] == 255).all()
    assert (see_through[:, 16:] == LEFT_RED[:, 16:]).all()


@pytest.mark.parametrize("mode", ["1", "P"])
def test_black_and_white_stays_so(tmp_path: Path, mode: str) -> None:
    board = Image.fromarray(np.indices((8, 8)).sum(0).astype(np.uint8) % 2 * 255).convert(mode)
    pixels = decode(saved(tmp_path, board, "a.png"), "gray")
    assert set(np.unique(pixels)) == {0, 255}


def test_ink_becomes_colour(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixels = decode(saved(tmp_path, ink, "a.jpg", quality=100), "rgb")
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_camera_held_sideways_gives_an_upright_image(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    upright = np.zeros((8, 16), np.uint8)
    upright[:4, :8] = 255  # the light is at the upper left
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(turned))
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path, image, f"a.{suffix}", exif=exif, **options)
    pixels = decode(path, "gray")[..., 0]
    assert pixels.shape == (8, 16)
    assert ((pixels > 127) == (upright > 127)).all()


def test_sixteen_bits_held_sideways_are_upright_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "tiff"):
        image = Image.fromarray(np.zeros((8, 16), np.uint16))
        assert decode(saved(tmp_path, image, f"a.{suffix}", exif=exif), "gray").shape == (16, 8, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"a.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a torn TIFF before it refuses it
        refused(path, "is damaged|is not an image")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
        ("text.png", b"hello"),
        ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"),
        ("paper.pdf", b"%PDF-1.4\n"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "is not an image that can be read")


def test_a_gif_is_no_accepted_format(tmp_path: Path) -> None:
    refused(saved(tmp_path, Image.new("L", (8, 8)), "a.gif"), "is not an image that can be read")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="does not exist"):
        decode(tmp_path / "nowhere.png", "rgb")
    with pytest.raises(DataRefused, match=str(tmp_path)):
        decode(tmp_path, "rgb")


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], f"a.{suffix}", save_all=True, append_images=frames[1:])
    refused(path, "has several frames")


@pytest.mark.parametrize("side", [7072, 13_000, 20_000])
def test_more_than_fifty_million_pixels_are_refused_before_decoding(
    tmp_path: Path, side: int
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, b""))  # no pixels follow: decoding them would fail
    refused(path, r"more than 50,000,000|is damaged .*decompression bomb")


def test_a_flipped_byte_anywhere_gives_an_image_or_a_refusal(tmp_path: Path) -> None:
    """Damaged files never end in a traceback: 300 draws for each format."""
    draw = random.Random(0)
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "jpg", "webp", "tiff", "bmp"):
        path = saved(tmp_path, Image.fromarray(noise), f"a.{suffix}", exif=exif)
        whole = path.read_bytes()
        for _ in range(300):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                content[draw.randrange(min(len(content), 200))] = draw.randrange(256)
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert decode(path, "rgb").shape[2] == 3
                except DataRefused:
                    continue


def test_an_image_of_the_right_size_comes_out_bit_for_bit() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(12).view(1, 3, 32, 32)
    assert torch.equal(resize(images, 32), images.float())


def test_resizing_gives_whole_grey_levels_each_image_by_itself() -> None:
    images = torch.randint(0, 256, (5, 3, 40, 27), dtype=torch.uint8)
    resized = resize(images, 16)
    assert resized.shape == (5, 3, 16, 16)
    assert torch.equal(resized, resized.round())
    assert 0 <= resized.min() <= resized.max() <= 255
    alone = torch.cat([resize(image[None], 16) for image in images])
    assert torch.equal(resized, alone)


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(1, 1, 64, 64)
    assert resize(stripes, 8).sub(127.5).abs().max() < 5


def test_preprocessing_normalises_each_channel_with_its_own_moments() -> None:
    images = torch.tensor([100, 150, 200], dtype=torch.uint8).expand(2, 10, 12, 3)
    found = Preprocessing(8, [90.0, 150.0, 210.0], [10.0, 1.0, 5.0])(images)
    assert found.shape == (2, 3, 8, 8)
    assert torch.equal(found, torch.tensor([1.0, 0.0, -2.0]).view(1, 3, 1, 1).expand(2, 3, 8, 8))


def test_a_raw_image_is_preprocessed_as_its_prepared_form() -> None:
    raw = torch.randint(0, 256, (4, 50, 33, 3), dtype=torch.uint8)
    preprocessing = Preprocessing(24, [100.0, 110.0, 120.0], [50.0, 55.0, 60.0])
    prepared = resize(raw.permute(0, 3, 1, 2), 24).to(torch.uint8).permute(0, 2, 3, 1)
    assert torch.equal(preprocessing(raw), preprocessing(prepared))


def png(width: int, height: int, depth: int, values: bytes, trns: bytes = b"") -> bytes:
    """A gray PNG written by hand, for what Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    row = width * depth // 8
    lines = b"".join(b"\0" + values[i : i + row] for i in range(0, len(values), row))
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (chunk(b"tRNS", trns) if trns else b"")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
