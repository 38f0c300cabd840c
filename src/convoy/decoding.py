"""From an encoded image to pixels: the one decoder, for ingestion and for prediction.

The base form of a dataset's colour is what decoding gives and prepared datasets hold; `hsv` is kept
as RGB and converted after resizing (`convoy.preprocessing.colour`).
"""

import re
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from convoy.errors import DataRefused

try:
    import simplejpeg
except ImportError:  # a bare training machine, say: the same pixels through Pillow, slower
    simplejpeg = None

Channels = Literal["gray", "rgb", "hsv", "cmyk"]
COUNT: dict[Channels, int] = {"gray": 1, "rgb": 3, "hsv": 3, "cmyk": 4}
"""Channels of the base form."""
_MODES: dict[Channels, str] = {"gray": "L", "rgb": "RGB", "hsv": "RGB", "cmyk": "CMYK"}

Format = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Those whose parsers are hardened; EPS, PDF and PSD run far more code (Pillow's SECURITY.md)."""

MAX_PIXELS = 50_000_000
_BITS, _PHOTOMETRIC = 258, 262  # TIFF 6.0's tags BitsPerSample and PhotometricInterpretation
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
_MAGIC: dict[Format, re.Pattern[bytes]] = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
}

Rule = Literal["empty", "truncated", "damaged", "not-an-image", "animated", "too-large", "missing"]


class Unreadable(DataRefused):
    """An image that cannot be decoded: `name reason: mend.`"""

    def __init__(self, name: str, rule: Rule, reason: str, mend: str) -> None:
        super().__init__(name, rule, reason, mend)
        self.name = name
        self.rule = rule
        self.reason = reason
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.name} {self.reason}: {self.mend}."


_EXPORT = "export the one you mean"
_CONVERT = "convert it to JPEG or PNG first"
_FOREIGN: tuple[tuple[bytes, Rule, str, str], ...] = (
    (rb"GIF8.*!\xf9\x04.*!\xf9\x04", "animated", "is a GIF of several frames", _EXPORT),
    (rb"GIF8", "not-an-image", "is a GIF", _CONVERT),
    (rb"....ftyp.{0,32}avif", "not-an-image", "is an AVIF image", _CONVERT),
    (rb"....ftyp(hei|hev|mif1|msf1)", "not-an-image", "is an HEIC image", _CONVERT),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "not-an-image", "is a JPEG XL image", _CONVERT),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "not-an-image", "is a JPEG 2000 image", _CONVERT),
    (rb"8BPS", "not-an-image", "is a Photoshop file", _CONVERT),
    (rb"%PDF", "not-an-image", "is a PDF", _CONVERT),
    (rb"%!PS", "not-an-image", "is a PostScript file", _CONVERT),
    (rb"(\xef\xbb\xbf)?\s*<(\?xml.{0,1000}<)?svg\b", "not-an-image", "is an SVG drawing", _CONVERT),
    (
        rb"(\xef\xbb\xbf)?\s*<[!?a-z]",
        "not-an-image",
        "looks like an HTML page",
        "download it again",
    ),
    (rb"version https://git-lfs", "not-an-image", "is a Git LFS pointer", "run `git lfs pull`"),
)
"""What people take for one of our formats: a pattern of its first bytes, and what to say of it."""


def format_of(data: bytes) -> Format | None:
    """Return the format that the first bytes tell, whatever the file is called."""
    return next((known for known, magic in _MAGIC.items() if magic.match(data)), None)


def decode(data: bytes | Path, channels: Channels, name: str = "") -> NDArray[np.uint8]:
    """Return an image (H, W, C) in the base form of `channels`, upright, 0 to 255.

    Transparency is laid over white and 16 bits are scaled to 8; colours become those of `channels`
    as in `converted`. `name` is what errors call the image; a path is its own name.
    Raises `Unreadable` for what is not one whole still image of at most 50 million pixels. Several
    threads may decode at once, and do so in parallel.
    """
    if isinstance(data, Path):
        name = name or str(data)
        data = _read(data, name)
    name = name or "the image"
    if not data:
        raise Unreadable(name, "empty", "is empty", "download or copy it again")
    found = format_of(data)
    if found is None:
        raise _not_an_image(name, data)
    try:
        with _PLUGINS[found](BytesIO(data)) as opened:
            _check(name, opened)
            pixels = _decode_jpeg(opened, data)
            if pixels is None:
                opened.load()
                pixels = _pixels(_over_white(_eight_bits(opened), data))
            return _upright(converted(pixels, channels), _orientation(opened))
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        reason = f"has more than {MAX_PIXELS:,} pixels"
        raise Unreadable(name, "too-large", reason, "make it smaller first") from error
    except Exception as error:
        # A parser raises whatever damaged bytes happen to mean: OSError, SyntaxError, TypeError ...
        if "truncated" in str(error).lower() or _is_cut_off(data, found):
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


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(name, "missing", "does not exist", "check the path") from error
    except IsADirectoryError as error:
        raise Unreadable(name, "missing", "is a folder", "name the images in it") from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise Unreadable(name, "missing", reason, "check its rights") from error


def _not_an_image(name: str, data: bytes) -> Unreadable:
    for pattern, rule, reason, mend in _FOREIGN:
        if re.match(pattern, data, re.DOTALL | re.IGNORECASE):
            return Unreadable(name, rule, reason, mend)
    reason = f"is not an image that can be read ({', '.join(FORMATS)})"
    return Unreadable(name, "not-an-image", reason, _CONVERT)


def _is_cut_off(data: bytes, found: Format) -> bool:
    """Return whether the end is missing that an image of this format has."""
    match found:
        case "JPEG":
            return b"\xff\xd9" not in data[-1024:]  # some programs write more behind the end
        case "PNG":
            return b"IEND" not in data[-1024:]
        case "WEBP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case "BMP":
            return len(data) < int.from_bytes(data[2:6], "little")
        case "TIFF":
            return False


def _check(name: str, opened: ImageFile) -> None:
    """Raise `Unreadable` for what the header tells, before anything is decoded."""
    if opened.width * opened.height > MAX_PIXELS:
        reason = f"has {opened.width} x {opened.height} pixels, more than {MAX_PIXELS:,}"
        raise Unreadable(name, "too-large", reason, "make it smaller first")
    if (frames := getattr(opened, "n_frames", 1)) > 1:
        raise Unreadable(name, "animated", f"has {frames} frames", _EXPORT)
    if kind := {"I": "signed or 32-bit", "F": "floating-point"}.get(opened.mode):
        reason = f"holds {kind} numbers, of which none is known to be white"
        raise Unreadable(name, "not-an-image", reason, "convert it to 8 bits a channel first")


def _decode_jpeg(opened: ImageFile, data: bytes) -> NDArray[np.uint8] | None:
    """Return a JPEG's pixels as Pillow gives them, in half the time; None where Pillow must."""
    colorspace = {"L": "GRAY", "RGB": "RGB"}.get(opened.mode)
    if simplejpeg is None or opened.format != "JPEG" or colorspace is None:
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace=colorspace)
    except ValueError:
        return None  # it refuses what libjpeg only warns of: the verdict is Pillow's
    return pixels if pixels.shape[:2] == (opened.height, opened.width) else None


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


def _orientation(opened: ImageFile) -> object:
    """Return how the camera was held (EXIF's Orientation, 1 to 8), 1 where that cannot be read."""
    try:
        return opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1  # torn metadata say nothing about the pixels


def _upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
