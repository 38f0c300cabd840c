"""Which format a file has by its bytes, and how it is refused where it has none of ours."""

import re
from typing import Literal, get_args

from convoy.errors import DataRefused

Format = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Those whose parsers are hardened; EPS, PDF and PSD run far more code (Pillow's SECURITY.md)."""

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


EXPORT = "export the one you mean"
_CONVERT = "convert it to JPEG or PNG first"
_FOREIGN: tuple[tuple[bytes, Rule, str, str], ...] = (
    (rb"GIF8.*!\xf9\x04.*!\xf9\x04", "animated", "is a GIF of several frames", EXPORT),
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


def not_an_image(name: str, data: bytes) -> Unreadable:
    """Return the refusal of bytes that are of none of the formats, by what they seem to be."""
    for pattern, rule, reason, mend in _FOREIGN:
        if re.match(pattern, data, re.DOTALL | re.IGNORECASE):
            return Unreadable(name, rule, reason, mend)
    reason = f"is not an image that can be read ({', '.join(FORMATS)})"
    return Unreadable(name, "not-an-image", reason, _CONVERT)


def is_cut_off(data: bytes, found: Format) -> bool:
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
