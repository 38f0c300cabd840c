"""What only JPEGs have: a faster decoder, decoding at a part of their size, and coded pixels.

The names of segments are those of ITU-T T.81, annex B.
"""

from struct import Struct, error
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ImportError:  # a bare training machine, say: the same pixels through Pillow, slower
    simplejpeg = None

PHOTOGRAPH = 256 * 256
"""More pixels than these make a JPEG a photograph; with another number images would be others.

A photograph need not be decoded at its whole size and so is told by its coded pixels; smaller ones
are decoded whole and told by their pixels, as images of all other formats are.
"""
_EIGHTH = 8  # the smallest part of its size that a JPEG is decoded at

_SEGMENT = Struct(">BBH")  # a byte of ones, which one it is, its length with these two bytes
_SIZE = Struct(">BHHB")  # of a frame: bits, height, width, components
_SCAN, _END = 0xDA, b"\xff\xd9"
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_JFIF, _EXIF, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_BESIDE = {*range(0xE0, 0xF0), _COMMENT} - {_ADOBE}  # what no pixel follows from
_PLAIN = {*_FRAMES, 0xC4, 0xDB, 0xDD, _ADOBE, *_BESIDE, _SCAN} - {_EXIF}
_COLORSPACES = {1: "GRAY", 3: "RGB"}  # by components


def is_photograph(kind: str, width: int, height: int) -> bool:
    """Return whether an image of this format and size is a photograph, as `PHOTOGRAPH` says."""
    return kind == "JPEG" and width * height > PHOTOGRAPH


def part(width: int, height: int, side: int | None) -> int:
    """Return what part of its size a JPEG is decoded at: 1, or a photograph 2, 4 or 8.

    Both sides stay `side` pixels or longer. It is the JPEG's own inverse transform with fewer
    frequencies (libjpeg's `scale_denom`): what resizing would smooth away is never computed.
    """
    if not side or not is_photograph("JPEG", width, height):
        return 1
    found = _EIGHTH
    while found > 1 and min(width, height) < side * found:
        found //= 2
    return found


class Plain(NamedTuple):
    """A JPEG whose header says nothing but how it is decoded."""

    pixels: NDArray[np.uint8]
    """(H, W, 1 or 3)"""
    width: int
    """Of the whole image."""
    height: int


def plain(data: bytes, side: int | None, most: int) -> Plain | None:
    """Return a JPEG of at most `most` pixels, decoded for `side` as Pillow would.

    None where Pillow must see to it: EXIF, inks, and all that is unusual or damaged.
    """
    segments, _ = _header(data)
    sizes = [one[_SEGMENT.size :][: _SIZE.size] for kind, one in segments if kind in _FRAMES]
    usual = _PLAIN.issuperset(kind for kind, _ in segments)
    if not usual or len(sizes) != 1 or len(sizes[0]) < _SIZE.size:
        return None
    bits, height, width, components = _SIZE.unpack(sizes[0])
    if bits != 8 or components not in _COLORSPACES or not 0 < width * height <= most:
        return None
    scale = part(width, height, side)
    pixels = decode(data, _COLORSPACES[components], -(-width // scale), -(-height // scale))
    return None if pixels is None else Plain(pixels, width, height)


def decode(data: bytes, colorspace: str, width: int, height: int) -> NDArray[np.uint8] | None:
    """Return a JPEG's pixels (height, width, C), its own size or a part of it, in half the time.

    They are those of Pillow. None where the verdict is Pillow's.
    """
    if simplejpeg is None:
        return None
    try:
        found: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, colorspace=colorspace, min_height=height, min_width=width
        )
    except ValueError:
        return None  # it refuses what libjpeg only warns of
    return found if found.shape[:2] == (height, width) else None


def coded(data: bytes) -> bytes:
    """Return what of a JPEG's bytes its pixels follow from, of an unusual one all of them.

    Left out are what other programs write beside it (EXIF, XMP, profiles, previews, comments) and
    what follows its last end. Of the segments of applications two decide how colours are read:
    Adobe's, and whether there is a JFIF one.
    """
    segments, begin = _header(data)
    if not segments:
        return data
    told = [
        one[_SEGMENT.size :][: len(b"JFIF\0")] if kind == _JFIF else one
        for kind, one in segments
        if kind == _JFIF or kind not in _BESIDE
    ]
    end = data.rfind(_END)  # a search from the front would take as long as the hash
    return b"".join((*told, data[begin : end if end > begin else None]))


def _header(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Return the segments up to the first scan's, and where its coded pixels begin.

    There are no segments where that is not, byte by byte, made of them alone.
    """
    segments: list[tuple[int, bytes]] = []
    kind, place = 0, 2
    try:
        while kind != _SCAN:
            ones, kind, length = _SEGMENT.unpack_from(data, place)
            if ones != 0xFF or kind == 0xFF:
                return [], 0
            segments.append((kind, data[place : place + 2 + length]))
            place += 2 + length
    except error:  # the end came before a scan
        return [], 0
    return segments, place
