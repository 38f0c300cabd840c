"""One decoder: every form of a picture ends as the same pixels, or is refused with what to do."""

import io
import pickle
import random
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms

from convoy import jpeg as jpegs
from convoy.decoding import COUNT, Channels, converted, decode
from convoy.errors import DataRefused
from convoy.formats import FORMATS, Rule, Unreadable, format_of
from tests.pictures import jpeg, noise

LEFT_RED = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8).repeat(16, 0).repeat(16, 1)
"""32 wide, 16 high: red on the left, blue on the right."""
EVERY: tuple[Channels, ...] = ("gray", "rgb", "hsv", "cmyk")


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return folder / name


def in_base_form(rgb: NDArray[np.uint8], channels: Channels) -> NDArray[np.uint8]:
    """Pillow's conversion of RGB pixels (H, W, 3)."""
    mode = {"gray": "L", "rgb": "RGB", "hsv": "RGB", "cmyk": "CMYK"}[channels]
    pixels = np.asarray(Image.fromarray(rgb).convert(mode))
    return pixels.reshape(*rgb.shape[:2], COUNT[channels])


def through_pillow(data: bytes, channels: Channels, patch: pytest.MonkeyPatch) -> object:
    """The pixels as bytes, or the refusal, of a machine without simplejpeg."""
    with patch.context() as without:
        without.setattr(jpegs, "simplejpeg", None)
        return verdict(data, channels)


def verdict(data: bytes, channels: Channels) -> object:
    try:
        pixels = decode(data, channels)
    except Unreadable as error:
        return str(error)
    return pixels.shape, pixels.tobytes()


def refused(path: Path, rule: Rule, match: str = ":") -> Unreadable:
    """The file is refused by name and rule in one sentence, and is what it was."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DataRefused, match=match) as caught:
        decode(path, "rgb")
    error = caught.value
    assert isinstance(error, Unreadable)
    assert error.rule == rule, error
    assert str(error) == f"{path} {error.reason}: {error.mend}."
    assert "\n" not in str(error)
    assert not error.mend.endswith(".")
    assert before is None or path.read_bytes() == before
    return error


# What is read.


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("channels", EVERY)
def test_a_lossless_file_gives_its_pixels(tmp_path: Path, suffix: str, channels: Channels) -> None:
    path = saved(tmp_path, Image.fromarray(noise(20, 33)), f"a.{suffix}", lossless=True)
    pixels = decode(path, channels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable and pixels.flags.c_contiguous
    assert (pixels == in_base_form(noise(20, 33), channels)).all()
    assert pixels.shape == (20, 33, COUNT[channels])


def test_a_file_and_its_bytes_are_the_same_image(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(LEFT_RED), "a.png")
    assert (decode(path.read_bytes(), "rgb") == decode(path, "rgb")).all()


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(LEFT_RED), "a.jpg", format="PNG")
    assert (decode(path, "rgb") == LEFT_RED).all()


@pytest.mark.parametrize("known", FORMATS)
def test_the_first_bytes_tell_the_format(known: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(LEFT_RED).save(stream, known)
    assert format_of(stream.getvalue()) == known
    assert format_of(stream.getvalue()[1:]) is None
    assert format_of(b"") is None


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", EVERY)
def test_sixteen_bits_are_scaled_and_not_cut_off(
    tmp_path: Path, suffix: str, channels: Channels
) -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    path = saved(tmp_path, Image.fromarray(ramp), f"ramp.{suffix}")
    expected = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert (decode(path, channels) == in_base_form(expected, channels)).all()


def test_big_endian_sixteen_bits_are_scaled_too(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    image = Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes())
    path = saved(tmp_path, image, "ramp.tiff")
    assert (decode(path, "gray")[..., 0] == np.arange(256).reshape(16, 16)).all()


def test_twelve_bits_are_scaled_by_their_own_white() -> None:
    data = tiff(2, 1, bits=12, photometric=1, values=bytes([0x00, 0x0F, 0xFF]))  # 0 and 4095
    assert decode(data, "gray").ravel().tolist() == [0, 255]


def test_sixteen_bits_whose_white_is_zero_are_inverted() -> None:
    data = tiff(2, 1, bits=16, photometric=0, values=struct.pack("<2H", 0, 65535))
    assert decode(data, "gray").ravel().tolist() == [255, 0]


def test_eight_bits_whose_white_is_zero_are_inverted() -> None:
    data = tiff(2, 1, bits=8, photometric=0, values=bytes([0, 255]))
    assert decode(data, "gray").ravel().tolist() == [255, 0]


def test_sixteen_bit_colours_are_scaled() -> None:
    values = struct.pack(">6H", 0, 128 * 257, 65535, 65535, 0, 257)
    assert decode(png(2, 1, 16, values, kind=2), "rgb").ravel().tolist() == [0, 128, 255, 255, 0, 1]


@pytest.mark.parametrize("channels", EVERY)
def test_what_shines_through_is_white(tmp_path: Path, channels: Channels) -> None:
    hidden = np.zeros((4, 4, 4), np.uint8)  # black, wholly transparent
    hidden[:2, :, 3] = 255  # the upper half is opaque
    hidden[0, 0] = (200, 0, 0, 128)
    expected = np.full((4, 4, 3), 255, np.uint8)
    expected[:2] = 0
    expected[0, 0] = (227, 127, 127)
    for suffix in ("png", "webp", "tiff"):
        options = {"lossless": True, "exact": True} if suffix == "webp" else {}
        path = saved(tmp_path, Image.fromarray(hidden), f"a.{suffix}", **options)
        assert (decode(path, channels) == in_base_form(expected, channels)).all(), suffix


def test_a_gray_with_alpha_and_one_with_a_transparent_level_are_over_white(tmp_path: Path) -> None:
    alpha = Image.merge("LA", (Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 0)))
    assert (decode(saved(tmp_path, alpha, "la.png"), "gray") == 255).all()
    level = saved(tmp_path, Image.new("L", (4, 4), 10), "l.png", transparency=10)
    assert (decode(level, "gray") == 255).all()


def test_a_gray_with_premultiplied_alpha_is_over_white() -> None:
    data = tiff(2, 1, bits=8, photometric=1, values=bytes([0, 0, 50, 255]), extra=1)
    assert decode(data, "gray").ravel().tolist() == [255, 50]


@pytest.mark.parametrize("level", [10, 40000])
def test_a_transparent_level_of_sixteen_bits_is_over_white(level: int) -> None:
    values = np.full((4, 4), level, ">u2").tobytes()
    assert (decode(png(4, 4, 16, values, trns=struct.pack(">H", level)), "gray") == 255).all()


@pytest.mark.parametrize(("depth", "value"), [(1, 0b10000000), (2, 0b01000000), (4, 0b01010000)])
def test_a_transparent_level_of_few_bits_is_over_white(depth: int, value: int) -> None:
    level = struct.pack(">H", value >> (8 - depth))
    assert decode(png(1, 1, depth, bytes([value]), trns=level), "gray").item() == 255
    assert decode(png(1, 1, depth, bytes([value])), "gray").item() == (255 if depth == 1 else 85)


def test_a_transparent_colour_of_sixteen_bits_is_over_white_and_no_other() -> None:
    colours = struct.pack(">9H", 200, 200, 200, 200 * 256, 200 * 256, 200 * 256, 9999, 0, 0)
    data = png(3, 1, 16, colours, kind=2, trns=struct.pack(">3H", 200, 200, 200))
    assert decode(data, "rgb")[0, :, 0].tolist() == [255, 200, 9999 >> 8]


def test_a_palette_gives_its_colours_and_its_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(LEFT_RED).quantize(2)
    for channels in EVERY:
        pixels = decode(saved(tmp_path, image, "a.png"), channels)
        assert (pixels == in_base_form(LEFT_RED, channels)).all()
    red = int(np.asarray(image)[0, 0])
    see_through = decode(saved(tmp_path, image, "b.png", transparency=red), "rgb")
    assert (see_through[:, :16] == 255).all()
    assert (see_through[:, 16:] == LEFT_RED[:, 16:]).all()


@pytest.mark.parametrize("mode", ["1", "P"])
@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_black_and_white_stays_so(tmp_path: Path, mode: str, suffix: str) -> None:
    board = np.indices((8, 8)).sum(0).astype(np.uint8) % 2 * 255
    path = saved(tmp_path, Image.fromarray(board).convert(mode), f"a.{suffix}")
    for channels in EVERY:
        expected = in_base_form(board[..., None].repeat(3, 2), channels)
        assert (decode(path, channels) == expected).all()


def test_the_inks_of_a_jpeg_come_out_as_they_went_in(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 200, 30))
    path = saved(tmp_path, ink, "a.jpg", quality=100)
    for channels, expected in (
        ("cmyk", (0, 255, 200, 30)),
        ("rgb", (225, 0, 48)),
        ("hsv", (225, 0, 48)),
        ("gray", (73,)),
    ):
        pixels = decode(path, channels)  # type: ignore[arg-type]
        assert np.abs(pixels.astype(int) - expected).max() <= 4, channels


def test_the_inks_of_a_tiff_come_out_as_they_went_in(tmp_path: Path) -> None:
    inks = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    path = saved(tmp_path, Image.fromarray(inks, "CMYK"), "a.tiff")
    assert (decode(path, "cmyk") == inks).all()
    expected = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    assert (decode(path, "rgb") == expected).all()


def test_luminance_and_chrominance_become_colour(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(LEFT_RED).convert("YCbCr"), "a.tiff")
    assert np.abs(decode(path, "rgb").astype(int) - LEFT_RED).max() <= 2


def test_cie_lab_becomes_colour(tmp_path: Path) -> None:
    muted = np.array([[[150, 100, 90], [90, 110, 140]]], np.uint8).repeat(4, 0)
    lab = ImageCms.profileToProfile(
        Image.fromarray(muted),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    path = saved(tmp_path, lab, "a.tiff")
    assert np.abs(decode(path, "rgb").astype(int) - muted).max() <= 3


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_refused(tmp_path: Path, mode: str) -> None:
    refused(saved(tmp_path, Image.new(mode, (8, 8), 1), "a.tiff"), "not-an-image", "8 bits")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("channels", EVERY)
def test_a_camera_held_sideways_gives_an_upright_image(
    tmp_path: Path, orientation: int, suffix: str, channels: Channels
) -> None:
    upright = np.zeros((8, 16), np.uint8)
    upright[:4, :8] = 255  # the light is at the upper left
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(turned(upright, orientation)).convert("RGB")
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path, image, f"a.{suffix}", exif=exif, **options)
    pixels = decode(path, channels)
    assert pixels.shape == (8, 16, COUNT[channels])
    light = pixels[..., 0] < 127 if channels == "cmyk" else pixels[..., 0] > 127
    assert (light == (upright > 127)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_that_only_xmp_tells_counts_too(tmp_path: Path, orientation: int) -> None:
    upright = noise(8, 16)[..., :1].repeat(3, 2)
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    path = saved(
        tmp_path, Image.fromarray(turned(upright, orientation)), "a.png", pnginfo=itxt(xmp)
    )
    assert (decode(path, "rgb") == upright).all()
    header = b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode()
    plain = jpeg(turned(upright, orientation), quality=95)
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(header) + 2) + header + plain[2:]
    assert decode(data, "rgb").shape == upright.shape


def test_torn_metadata_leave_the_image_as_it_is() -> None:
    plain = jpeg(noise(8, 16))
    header = b"Exif\0\0MM\0*\0\0\0\xff\xff\xff"
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(header) + 2) + header + plain[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's of the torn metadata
        assert (decode(data, "rgb") == decode(plain, "rgb")).all()


def test_sixteen_bits_held_sideways_are_upright_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "tiff"):
        image = Image.fromarray(np.zeros((8, 16), np.uint16))
        assert decode(saved(tmp_path, image, f"a.{suffix}", exif=exif), "gray").shape == (16, 8, 1)


def test_the_first_frame_of_a_cameras_jpeg_is_the_photograph(tmp_path: Path) -> None:
    photograph, preview = Image.fromarray(noise(40, 64)), Image.new("RGB", (8, 8), "red")
    path = saved(tmp_path, photograph, "a.mpo", save_all=True, append_images=[preview])
    with Image.open(path) as opened:
        assert getattr(opened, "n_frames", 1) == 2
    assert (decode(path, "rgb") == decode(jpeg(noise(40, 64)), "rgb")).all()


def test_a_gray_is_the_same_inks_from_any_file(tmp_path: Path) -> None:
    gray = Image.fromarray(noise(8, 8)).convert("L")
    as_gray = decode(saved(tmp_path, gray, "a.png"), "cmyk")
    assert (as_gray == decode(saved(tmp_path, gray.convert("RGB"), "b.png"), "cmyk")).all()


# Pixels that a source gives.


@pytest.mark.parametrize("channels", EVERY)
def test_pixels_are_converted_as_files_are(tmp_path: Path, channels: Channels) -> None:
    rgb = noise(9, 7)
    gray = np.asarray(Image.fromarray(rgb).convert("L"))
    inks = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
    for pixels, mode in ((rgb, "RGB"), (gray[..., None], "L"), (inks, "CMYK")):
        path = saved(tmp_path, Image.fromarray(pixels.squeeze(), mode), "a.tiff")
        found = converted(pixels, channels)
        assert (found == decode(path, channels)).all()
        stack = np.stack([pixels, pixels[::-1]])
        assert (converted(stack, channels) == np.stack([found, found[::-1]])).all()


def test_pixels_in_the_base_form_are_handed_back() -> None:
    for channels, count in COUNT.items():
        pixels = np.zeros((2, 3, 4, count), np.uint8)
        assert converted(pixels, channels) is pixels


# The fast path.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2"},
        {"subsampling": "4:2:0"},
        {"progressive": True},
        {"progressive": True, "subsampling": "4:4:4"},
        {"optimize": True},
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1},
        {"keep_rgb": True},
        *({"quality": quality} for quality in (5, 20, 40, 60, 80, 90, 95, 100)),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(64, 48), (33, 17), (1, 1), (1, 40), (7, 8), (16, 15)], ids=str)
def test_a_jpeg_has_pillows_pixels(
    options: dict[str, object], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pixels in (noise(*size), noise(*size)[..., 0]):
        data = jpeg(pixels, **options)
        with Image.open(io.BytesIO(data)) as opened:
            expected = np.asarray(opened).reshape(*size, -1)
        assert (decode(data, "rgb" if pixels.ndim == 3 else "gray") == expected).all()
        for channels in EVERY:
            assert verdict(data, channels) == through_pillow(data, channels, monkeypatch)


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_every_subsampling_has_pillows_pixels(
    subsampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in ((64, 48), (33, 17), (1, 1)):
        data = simplejpeg.encode_jpeg(noise(*size), 80, "RGB", subsampling)
        assert verdict(data, "rgb") == through_pillow(data, "rgb", monkeypatch)


def test_a_plain_jpeg_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda data, **asked: black)
    assert (decode(jpeg(noise(8, 8)), "rgb") == 0).all()


def test_the_gray_of_a_coloured_jpeg_is_that_of_its_colours() -> None:
    data = jpeg(noise(33, 17))
    assert (decode(data, "gray") == in_base_form(decode(data, "rgb"), "gray")).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_jpeg_that_was_cut_off_anywhere_is_refused(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end marker alone may be missing: Pillow has never seen the end of it either."""
    data = jpeg(noise(33, 17), **options)
    for end in range(3, len(data)):
        with pytest.raises(Unreadable) as caught:
            decode(data[:end], "rgb")
        assert caught.value.rule == "truncated", (end, caught.value)
        assert str(caught.value) == through_pillow(data[:end], "rgb", monkeypatch)


def test_a_jpeg_with_more_behind_its_end_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(noise(33, 17))
    for more in (b"\0", b"\0" * 5000, b"trailer", data):
        assert (decode(data + more, "rgb") == decode(data, "rgb")).all()
        assert verdict(data + more, "rgb") == through_pillow(data + more, "rgb", monkeypatch)


def test_a_damaged_jpeg_has_one_verdict_with_and_without_the_fast_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(0)
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}):
        whole = jpeg(noise(24, 24), **options)
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(draw.randint(1, 3)):
                data[draw.randrange(3, len(data))] = draw.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = verdict(bytes(data), "rgb")
                assert found == through_pillow(bytes(data), "rgb", monkeypatch)


def test_threads_decode_as_one_does() -> None:
    files = [jpeg(noise(40, 40, seed)) for seed in range(20)]
    alone = [decode(data, "rgb") for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda data: decode(data, "rgb"), files * 5)
    assert all((a == b).all() for a, b in zip(alone * 5, together, strict=True))


# What is refused.


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(pixels), f"a.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a torn TIFF before it refuses it
        refused(path, "truncated")


def test_a_png_that_was_cut_off_is_refused_unless_all_its_pixels_are_there(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(noise(16, 16)), "a.png")
    whole = path.read_bytes()
    end_of_pixels = whole.index(b"IEND") - 4 - 4 - 4  # before length, checksum and zlib's own one
    for end in range(8, len(whole)):
        path.write_bytes(whole[:end])
        if end < end_of_pixels - 1:
            refused(path, "truncated")
        elif end > end_of_pixels:
            assert (decode(path, "rgb") == noise(16, 16)).all()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(noise(16, 16)), "a.png")
    whole = bytearray(path.read_bytes())
    whole[17] ^= 1  # the width, which the checksum then contradicts
    path.write_bytes(whole)
    refused(path, "damaged", "replace it with a whole copy")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    refused(tmp_path / "a.jpg", "empty")


HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (HTML, "looks like an HTML page: download it again"),
        (b"\xef\xbb\xbf\n  " + HTML.lower(), "looks like an HTML page: download it again"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "download it again"),
        (b'<?xml version="1.0"?>\n<!-- -->\n<svg width="1">', "is an SVG drawing: convert it to"),
        (b"<svg/>", "is an SVG drawing: convert it to JPEG or PNG first"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is an HEIC image: convert it"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "is an HEIC image: convert it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "is an AVIF image: convert it"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1", "is an AVIF image: convert it"),
        (b"%PDF-1.4\n", "is a PDF: convert it"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is a PostScript file: convert"),
        (b"8BPS\0\1", "is a Photoshop file: convert it"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000 image: convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL image: convert it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer: run `git lfs pull`"),
        (b"hello", r"not an image that can be read \(JPEG, PNG, WEBP, BMP, TIFF\): convert it"),
        (b"\0", "is not an image that can be read"),
    ],
)
def test_what_is_no_image_is_refused_by_what_it_is(
    tmp_path: Path, content: bytes, match: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    refused(tmp_path / "a.jpg", "not-an-image", match)


def test_a_gif_is_no_accepted_format(tmp_path: Path) -> None:
    refused(saved(tmp_path, Image.new("L", (8, 8)), "a.gif"), "not-an-image", "is a GIF: convert")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.png", "missing", "does not exist: check the path")
    refused(tmp_path, "missing", "is a folder: name the images in it")


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "gif"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"duration": 100, "save_all": True, "append_images": frames[1:]}
    path = saved(tmp_path, frames[0], f"a.{suffix}", **options)
    refused(path, "animated", "frames: export the one you mean")


@pytest.mark.parametrize("side", [7072, 13_000, 20_000])
def test_more_than_fifty_million_pixels_are_refused_before_decoding(
    tmp_path: Path, side: int
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, b""))  # no pixels follow: decoding them would fail
    refused(path, "too-large", rf"{side} x {side} pixels, more than 50,000,000")


def test_a_webp_that_pillow_takes_for_a_bomb_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "bomb.webp"
    extended = b"VP8X" + struct.pack("<II", 10, 0) + (16382).to_bytes(3, "little") * 2
    pixels = b"VP8L" + struct.pack("<I", 10) + b"\x2f" + struct.pack("<I", 16382 | 16382 << 14)
    body = b"WEBP" + extended + pixels + b"\0" * 5
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    refused(path, "too-large")


def test_bytes_are_called_by_the_name_that_is_given() -> None:
    with pytest.raises(Unreadable, match=r"^train/a\.jpg is empty: "):
        decode(b"", "rgb", "train/a.jpg")
    with pytest.raises(Unreadable, match=r"^the image is empty: "):
        decode(b"", "rgb")


def test_a_refusal_travels_between_processes() -> None:
    error = Unreadable("a.png", "empty", "is empty", "copy it again")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rule) == (str(error), "empty")


def test_a_flipped_byte_anywhere_gives_an_image_or_a_refusal(tmp_path: Path) -> None:
    """Damaged files never end in a traceback: 300 draws for each format."""
    draw = random.Random(0)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "jpg", "webp", "tiff", "bmp"):
        whole = saved(tmp_path, Image.fromarray(pixels), f"a.{suffix}", exif=exif).read_bytes()
        for _ in range(300):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                content[draw.randrange(min(len(content), 200))] = draw.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert decode(bytes(content), "rgb").shape[2] == 3
                except Unreadable as error:
                    assert error.rule in get_args(Rule)


def turned(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """What a sensor saw of an upright image, by EXIF's orientation."""
    sensor = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    return np.ascontiguousarray(sensor)


def itxt(xmp: str) -> object:
    """A PNG's chunk of XMP metadata."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    return info


def png(
    width: int, height: int, depth: int, values: bytes, *, kind: int = 0, trns: bytes = b""
) -> bytes:
    """A PNG written by hand, gray or (kind 2) RGB, for what Pillow cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    row = -(-width * depth * (3 if kind == 2 else 1) // 8)
    lines = b"".join(b"\0" + values[i : i + row] for i in range(0, len(values), row))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (chunk(b"tRNS", trns) if trns else b"")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def tiff(
    width: int, height: int, *, bits: int, photometric: int, values: bytes, extra: int | None = None
) -> bytes:
    """A gray TIFF written by hand, `extra` the kind of its second sample."""
    samples = 1 if extra is None else 2
    depths = bits if samples == 1 else bits | bits << 16
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, samples, depths),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (278, 3, 1, height),
        (279, 4, 1, len(values)),
    ]
    if extra is not None:
        entries.append((338, 3, 1, extra))
    padded = values + b"\0" * (len(values) % 2)
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    count = struct.pack("<H", len(entries))
    return b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + count + directory + b"\0" * 4
