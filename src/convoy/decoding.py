"""From an encoded image to pixels: the one decoder, for ingestion and for prediction.

The base form of a dataset's colour is what decoding gives and prepared datasets hold; `hsv` is kept
as RGB and converted after resizing (`convoy.preprocessing.colour`).
"""

from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from convoy import jpeg
from convoy.formats import EXPORT, Format, Unreadable, format_of, is_cut_off, not_an_image

Channels = Literal["gray", "rgb", "hsv", "cmyk"]
COUNT: dict[Channels, int] = {"gray": 1, "rgb": 3, "hsv": 3, "cmyk": 4}
"""Channels of the base form."""
_MODES: dict[Channels, str] = {"gray": "L", "rgb": "RGB", "hsv": "RGB", "cmyk": "CMYK"}

MAX_PIXELS = 50_000_000
_BITS, _PHOTOMETRIC = 258, 262  # TIFF 6.0's tags BitsPerSample and PhotometricInterpretation
_UPRIGHT, _ON_ITS_SIDE, _LAST = 1, 5, 8  # of EXIF's Orientation
_PNG_DEPTH = 24  # where a PNG's header holds the bits of a sample

# Opened by their classes, `Image.open` is left out: it warns above a limit of its own, and warnings
# can only be switched off for all threads at once. It also takes a camera's JPEG with a preview
# behind it (MPO) for several frames, where the first one is the photograph.
_PLUGINS: dict[Format, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}


class FileImage(NamedTuple):
    """An image file as it was decoded."""

    pixels: NDArray[np.uint8]
    """(H, W, C), upright, 0 to 255: of a photograph fewer than the file has, where asked for."""
    format: Format
    width: int
    """Pixels of the file, upright."""
    height: int
    orientation: int
    """How the camera was held whose picture `read` turned: EXIF's Orientation, 1 to 8."""


def decode(
    data: bytes | Path, channels: Channels, name: str = "", side: int | None = None
) -> NDArray[np.uint8]:
    """Return the pixels (H, W, C) of an image file; see `read`."""
    return read(data, channels, name, side).pixels


def read(
    data: bytes | Path, channels: Channels, name: str = "", side: int | None = None
) -> FileImage:
    """Return an image in the base form of `channels`, upright.

    Transparency is laid over white and 16 bits are scaled to 8; colours become those of `channels`
    as in `converted`. `name` is what errors call the image; a path is its own name. `side` is the
    size that the image is resized to afterwards: photographs are decoded at no more of their size
    than that takes (`jpeg.part`); without it, whole.
    Raises `Unreadable` for what is not one whole still image of at most 50 million pixels. Several
    threads may decode at once, and do so in parallel.
    """
    if isinstance(data, Path):
        name = name or str(data)
        data = _bytes(data, name)
    name = name or "the image"
    if not data:
        raise Unreadable(name, "empty", "is empty", "download or copy it again")
    found = format_of(data)
    if found is None:
        raise not_an_image(name, data)
    try:
        if found == "JPEG" and (plain := jpeg.plain(data, side, MAX_PIXELS)):
            pixels = converted(plain.pixels, channels)
            return FileImage(pixels, found, plain.width, plain.height, _UPRIGHT)
        with _PLUGINS[found](BytesIO(data)) as opened:
            _check(name, opened)
            whole = opened.size
            pixels = _decoded(opened, data, side)
            # Only now: a PNG may tell it behind its pixels, and of a TIFF Pillow has seen to it.
            orientation = _orientation(opened)
            pixels = _upright(converted(pixels, channels), orientation)
            height, width, _ = pixels.shape
            if found == "JPEG":
                width, height = whole if orientation < _ON_ITS_SIDE else whole[::-1]
            return FileImage(pixels, found, width, height, orientation)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        reason = f"has more than {MAX_PIXELS:,} pixels"
        raise Unreadable(name, "too-large", reason, "make it smaller first") from error
    except Exception as error:
        # A parser raises whatever damaged bytes happen to mean: OSError, SyntaxError, TypeError ...
        if "truncated" in str(error).lower() or is_cut_off(data, found):
            raise Unreadable(
                name, "truncated", "is cut off", "download or copy it again"
            ) from error
        reason = f"is damaged ({error or type(error).__name__})"
        raise Unreadable(name, "damaged", reason, "replace it with a whole copy") from error


def converted(pixels: NDArray[np.uint8], channels: Channels) -> NDArray[np.uint8]:
    """Return pixels (..., H, W, C) of C = 1 (gray), 3 (RGB) or 4 (CMYK) in the base form.

    The conversions are Pillow's, by way of RGB: a gray becomes the same inks from any file.
    """
    *rest, width, count = pixels.shape
    if count == COUNT[channels]:
        return pixels
    size = (width, pixels.size // (width * count))
    image = Image.frombytes({1: "L", 3: "RGB", 4: "CMYK"}[count], size, pixels.tobytes())
    return _pixels(image.convert("RGB").convert(_MODES[channels])).reshape(*rest, width, -1)


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(name, "missing", "does not exist", "check the path") from error
    except IsADirectoryError as error:
        raise Unreadable(name, "missing", "is a folder", "name the images in it") from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise Unreadable(name, "missing", reason, "check its rights") from error


def _check(name: str, opened: ImageFile) -> None:
    """Raise `Unreadable` for what the header tells, before anything is decoded."""
    if opened.width * opened.height > MAX_PIXELS:
        reason = f"has {opened.width} x {opened.height} pixels, more than {MAX_PIXELS:,}"
        raise Unreadable(name, "too-large", reason, "make it smaller first")
    if (frames := getattr(opened, "n_frames", 1)) > 1:
        raise Unreadable(name, "animated", f"has {frames} frames", EXPORT)
    if kind := {"I": "signed or 32-bit", "F": "floating-point"}.get(opened.mode):
        reason = f"holds {kind} numbers, of which none is known to be white"
        raise Unreadable(name, "not-an-image", reason, "convert it to 8 bits a channel first")


def _decoded(opened: ImageFile, data: bytes, side: int | None) -> NDArray[np.uint8]:
    """Return an opened image's pixels (H, W, C), of a JPEG no more than `side` takes."""
    if opened.format == "JPEG":
        if (part := jpeg.part(*opened.size, side)) > 1:
            opened.draft(None, (opened.width // part, opened.height // part))
        colorspace = {"L": "GRAY", "RGB": "RGB"}.get(opened.mode)
        if colorspace and (pixels := jpeg.decode(data, colorspace, *opened.size)) is not None:
            return pixels
    opened.load()
    return _pixels(_over_white(_eight_bits(opened), data))


def _eight_bits(opened: ImageFile) -> Image.Image:
    """Return a loaded image, grays of 12 and 16 bits scaled: Pillow's conversion cuts them off."""
    if not opened.mode.startswith("I;16"):
        return opened
    values = np.asarray(opened, dtype=np.int64)
    tags = getattr(opened, "tag_v2", {})
    white = 2 ** tags.get(_BITS, (16,))[0] - 1
    grays = (values * 255 + white // 2) // white
    # Pillow inverts a TIFF whose white is 0 only where it has 8 bits or fewer.
    scaled = Image.fromarray(
        (255 - grays if tags.get(_PHOTOMETRIC) == 0 else grays).astype(np.uint8)
    )
    if (level := opened.info.get("transparency")) is not None:
        scaled.putalpha(Image.fromarray(np.where(values == level, 0, 255).astype(np.uint8)))
    return scaled


def _over_white(image: Image.Image, data: bytes) -> Image.Image:
    """Lay what has transparency over white."""
    if not image.has_transparency_data:
        return image
    level, depth = image.info.get("transparency"), data[_PNG_DEPTH]
    # Pillow scales a PNG's pixels to 8 bits, but not the level or colour that is transparent.
    if image.mode == "L" and isinstance(level, int) and depth < 8:
        image.info["transparency"] = level * 255 // (2**depth - 1)
    if image.mode == "RGB" and isinstance(level, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in level)
    if image.mode == "La":  # from which Pillow knows no other way
        image = image.convert("LA")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image's pixels (H, W, C), as RGB unless they are gray or CMYK."""
    if image.mode not in _MODES.values():
        image = image.convert("RGB")
    return np.array(image).reshape(image.height, image.width, -1)


def _orientation(opened: ImageFile) -> int:
    """Return how the camera was held (EXIF's Orientation, 1 to 8), 1 where that cannot be read."""
    try:
        told = opened.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:
        return _UPRIGHT  # torn metadata say nothing about the pixels
    return told if isinstance(told, int) and _UPRIGHT <= told <= _LAST else _UPRIGHT


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation >= _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
