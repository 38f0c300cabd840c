"""A sheet of many small pictures, a few lines and a few words, laid out by hand in inches.

Drawn with Pillow: of matplotlib, a sheet of tiles and words takes ten times as long, and each
network has six of them.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Literal

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from convoy.evaluation.colours import FAINT, INK

MARGIN = 0.25
"""Inches around a sheet."""
HEAD = 0.95
"""Inches at the top, down to what is shown: a title and a line that says how to read it."""
WIDEST = 11.0
"""Inches that a sheet grows to for the sake of that line."""
DPI = 150
COMPRESSION = 4
"""The tightest takes several times as long for a tenth of the size."""
FINE = 4
"""Times as fine as the sheet are lines and shapes drawn, so that their edges are smooth."""
MIDDLE = 0.36
"""Of a font's size: how far above the baseline the middle of its capitals lies."""
RULE = "#e6e6e6"

Point = tuple[float, float]
"""Inches from the left and from the top."""


class Sheet:
    """A white sheet; places are inches from its upper left corner."""

    def __init__(self, width: float, height: float, title: str, reading: str) -> None:
        """Make a sheet at least so wide, wider if `reading` needs it."""
        wanted = max(inches(title, 12), inches(reading, 9)) + 2 * MARGIN + 0.1
        width = max(width, min(wanted, WIDEST))
        self.words: list[str] = []
        """What is written, as it is shown."""
        self._image = Image.new("RGB", (_pixels(width), _pixels(height)), "white")
        self._draw = ImageDraw.Draw(self._image)
        within = width - 2 * MARGIN
        self.write(title, MARGIN, 0.27, points=12, within=within)
        self.write(reading, MARGIN, 0.56, points=9, colour=FAINT, within=within)

    def save(self, stream: IO[bytes]) -> None:
        """Write the sheet as PNG."""
        self._image.save(stream, "PNG", compress_level=COMPRESSION, dpi=(DPI, DPI))

    def show(self, picture: NDArray[np.uint8], x: float, y: float, side: float) -> None:
        """Put a picture (H, W, 3) where its upper left corner is (x, y)."""
        height, width = picture.shape[:2]
        scale = _pixels(side) / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        x, y = x + (side - size[0] / DPI) / 2, y + (side - size[1] / DPI) / 2
        # A pixel of a small image is a square that can be seen.
        how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
        shown = Image.fromarray(np.ascontiguousarray(picture)).resize(size, how)
        self._image.paste(shown, (_pixels(x), _pixels(y)))

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        points: float = 8,
        colour: str = INK,
        within: float | None = None,
        align: Literal["left", "centre", "right"] = "left",
        turned: bool = False,
    ) -> None:
        """Write a line whose middle is at the height y; what is longer than `within` is cut.

        It begins at x, has its middle there ("centre") or ends there ("right"). One that is
        `turned` is read from below: its middle is at x, and y is where it ends or has its middle.
        """
        shown = " ".join(text.split()) if within is None else cut(text, points, within)
        self.words.append(shown)
        if turned:
            self._write_upwards(shown, x, y, points, colour, align)
            return
        place = x * DPI, y * DPI + MIDDLE * points * DPI / 72
        anchor = {"left": "ls", "centre": "ms", "right": "rs"}[align]
        self._draw.text(place, shown, fill=colour, font=_font(points), anchor=anchor)

    def _write_upwards(
        self, text: str, x: float, y: float, points: float, colour: str, align: str
    ) -> None:
        size = points * DPI / 72
        length = max(1, round(_font(points).getlength(text)))
        mask = Image.new("L", (length, round(1.5 * size)))
        middle = mask.height / 2 + MIDDLE * size
        ImageDraw.Draw(mask).text((0, middle), text, fill=255, font=_font(points), anchor="ls")
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        top = _pixels(y) - (mask.height // 2 if align == "centre" else 0)
        corner = _pixels(x) - mask.width // 2, top
        self._image.paste(ImageColor.getrgb(colour), corner, mask)

    def pair(
        self,
        name: str,
        share: str,
        x: float,
        y: float,
        *,
        within: float,
        colour: str,
        points: float = 8,
    ) -> None:
        """Write a name and a share behind it; of both, the name alone is cut."""
        room = within - inches(f" {share}", points)
        shown = cut(name, points, room)
        self.write(shown, x, y, points=points, colour=colour)
        self.write(share, x + inches(f"{shown} ", points), y, points=points, colour=FAINT)

    def rule(self, y: float, left: float, right: float) -> None:
        """Draw a thin line across."""
        self._draw.line([_pixels(left), _pixels(y), _pixels(right), _pixels(y)], fill=RULE)

    def upright(self, x: float, top: float, bottom: float) -> None:
        """Draw a thin line down."""
        self._draw.line([_pixels(x), _pixels(top), _pixels(x), _pixels(bottom)], fill=RULE)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Fill a rectangle."""
        corners = [_pixels(left), _pixels(top), _pixels(right) - 1, _pixels(bottom) - 1]
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._draw.rectangle(corners, fill=colour)

    def line(self, points: Sequence[Point], colour: str, width: float = 1.5) -> None:
        """Draw a line through points, `width` typographic points wide."""
        wide = max(1, round(width * DPI / 72 * FINE))
        with _Fine(self._image, points, wide / FINE, colour) as (draw, places):
            draw.line(places, fill=255, width=wide, joint="curve")

    def area(self, points: Sequence[Point], colour: str, share: float = 1.0) -> None:
        """Fill what points go around; a `share` below 1 lets through what is there."""
        with _Fine(self._image, points, 1, colour) as (draw, places):
            draw.polygon(places, fill=round(255 * share))

    def dot(self, place: Point, colour: str, points: float = 3.5) -> None:
        """Draw a dot of this diameter in typographic points."""
        radius = points * DPI / 72 / 2
        with _Fine(self._image, [place], radius + 1, colour) as (draw, ((x, y),)):
            far = radius * FINE
            draw.ellipse([x - far, y - far, x + far, y + far], fill=255)


class _Fine:
    """A mask some times as fine as a sheet, around points; where it is white, colour comes."""

    def __init__(
        self, image: Image.Image, points: Sequence[Point], air: float, colour: str
    ) -> None:
        self._image, self._colour = image, ImageColor.getrgb(colour)
        places = np.array(points, dtype=np.float64) * DPI
        first = np.floor(places.min(axis=0) - air - 1).astype(int)
        size = np.ceil(places.max(axis=0) + air + 1).astype(int) - first
        self._corner = int(first[0]), int(first[1])
        self._mask = Image.new("L", (int(size[0]) * FINE, int(size[1]) * FINE))
        self._places = [(float(x), float(y)) for x, y in (places - first) * FINE]

    def __enter__(self) -> tuple[ImageDraw.ImageDraw, list[Point]]:
        return ImageDraw.Draw(self._mask), self._places

    def __exit__(self, *_: object) -> None:
        self._image.paste(self._colour, self._corner, self._mask.reduce(FINE))


def cut(text: str, points: float, within: float, end: bool = False) -> str:
    """Return a text in one line and at most `within` inches wide.

    Of what is too long its beginning is kept, or its `end`.
    """
    text = " ".join(text.split())
    if inches(text, points) <= within:
        return text
    for kept in range(len(text) - 1, 0, -1):
        shorter = f"…{text[-kept:].lstrip()}" if end else f"{text[:kept].rstrip()}…"
        if inches(shorter, points) <= within:
            return shorter
    return "…"


def plural(count: int, noun: str) -> str:
    """Return "1 image", "1,200 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """Return a probability as people read it: 99.97% is not 100%."""
    for digits in range(4):
        text = f"{share:.{digits}%}"
        if digits and float(text[:-1]) not in (0, 100):
            return text
    return f"{share:.0%}" if share in (0, 1) else text


def rows_of(count: int, columns: int) -> int:
    return -(-count // columns)


def inches(text: str, points: float) -> float:
    """Return how wide a line is."""
    # Widths of single letters add up, but for kerning.
    return sum(map(_letter, text)) * points / 72


@cache
def _letter(letter: str) -> float:
    """Return a letter's width as a share of the size of its font."""
    return _face(100).getlength(letter) / 100


def _font(points: float) -> ImageFont.FreeTypeFont:
    return _face(points * DPI / 72)


@cache
def _face(pixels: float) -> ImageFont.FreeTypeFont:
    # matplotlib brings a font of many alphabets along, so that it is the same on every machine.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), pixels)


def _pixels(length: float) -> int:
    return round(length * DPI)
