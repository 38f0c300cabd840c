"""A figure of many small pictures and a few words, laid out by hand in inches.

One pair of axes holds them all, since dozens of axes are what takes long to draw.
"""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from convoy.evaluation.figures import FAINT, INK

MARGIN = 0.25
"""Inches around a sheet."""
HEAD = 0.95
"""Inches at the top, down to what is shown: a title and a line that says how to read it."""
WIDEST = 11.0
"""Inches that a sheet grows to for the sake of that line."""


class Sheet:
    """A white sheet; places are inches from its upper left corner."""

    def __init__(self, width: float, height: float, title: str, reading: str) -> None:
        """Make a sheet at least so wide, wider if `reading` needs it."""
        wanted = max(inches(title, 12), inches(reading, 9)) + 2 * MARGIN + 0.1
        width = max(width, min(wanted, WIDEST))
        self.figure = Figure(figsize=(width, height), dpi=150)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        within = width - 2 * MARGIN
        self.write(title, MARGIN, 0.27, points=12, within=within)
        self.write(reading, MARGIN, 0.56, points=9, colour=FAINT, within=within)

    def show(self, picture: NDArray[np.uint8], x: float, y: float, side: float) -> None:
        """Put a picture (H, W, 3) where its upper left corner is (x, y)."""
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        x, y = x + (side - width * scale) / 2, y + (side - height * scale) / 2
        extent = (x, x + width * scale, y + height * scale, y)
        self.axes.imshow(picture, extent=extent, aspect="auto")

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        points: float = 8,
        colour: str = INK,
        within: float | None = None,
        **how: Any,
    ) -> None:
        """Write a line whose middle is at the height y; what is longer than `within` is cut."""
        shown = text if within is None else cut(text, points, within)
        how = {"va": "center_baseline", **how}
        # A dollar sign in a name is a dollar sign, not the start of a formula.
        self.axes.text(x, y, shown, fontsize=points, color=colour, parse_math=False, **how)

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
        self.axes.plot([left, right], [y, y], color="#e6e6e6", linewidth=0.8)


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
    size = 100
    width, _, _ = text_to_path.get_text_width_height_descent(
        letter, FontProperties(size=size), ismath=False
    )
    return float(width) / size
