"""A chart on a sheet: where numbers lie, and the lines, dots and labels of its axes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

from matplotlib.ticker import LogLocator, MaxNLocator

from convoy.evaluation.colours import FAINT, INK
from convoy.evaluation.contact_sheet import Point, Sheet


@dataclass(frozen=True)
class Chart:
    """A rectangle of a sheet, in inches, and the numbers of its sides; those of y may be `log`."""

    sheet: Sheet
    left: float
    top: float
    wide: float
    high: float
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def at(self, x: float, y: float) -> Point:
        """Return where numbers lie; those beyond the sides lie on them."""
        low, high, value = (log10(n) for n in (*self.y, y)) if self.log else (*self.y, y)
        across, up = _share(*self.x, x), _share(low, high, value)
        return self.left + self.wide * across, self.top + self.high * (1 - up)

    def name(self, title: str, detail: str = "", colour: str = INK) -> None:
        """Write a title above the chart, and to its right a detail."""
        self.sheet.write(title, self.left, self.top - 0.22, points=10)
        place = self.left + self.wide, self.top - 0.22
        self.sheet.write(detail, *place, points=9, colour=colour, align="right")

    def mark_y(self, ticks: Mapping[float, str], rules: bool = True) -> None:
        """Write labels along the left side, with a line across the chart from each."""
        for value, label in ticks.items():
            _, height = self.at(self.x[0], value)
            if rules:
                self.sheet.rule(height, self.left, self.left + self.wide)
            self.sheet.write(label, self.left - 0.08, height, align="right")

    def mark_x(self, ticks: Mapping[float, str], label: str = "") -> None:
        """Write labels along the lower side, and below them what they are of."""
        below = self.top + self.high
        for value, text in ticks.items():
            self.sheet.write(text, self.at(value, self.y[0])[0], below + 0.12, align="centre")
        middle = self.left + self.wide / 2
        self.sheet.write(label, middle, below + 0.34, points=9, align="centre")

    def curve(self, points: Sequence[Point], colour: str, dots: bool = True) -> None:
        """Draw a line through numbers (x, y), and a dot at each."""
        places = [self.at(*point) for point in points]
        if len(places) > 1:
            self.sheet.line(places, colour)
        if dots or len(places) == 1:
            for place in places:
                self.sheet.dot(place, colour)

    def band(self, lows: Iterable[Point], highs: Iterable[Point], colour: str) -> None:
        """Fill what lies between two lines, so that what is behind shows."""
        around = [*lows, *reversed(list(highs))]
        self.sheet.area([self.at(*point) for point in around], colour, 0.15)

    def straight(self, first: Point, last: Point, colour: str = FAINT) -> None:
        """Draw a thin line from one pair of numbers to another."""
        self.sheet.line([self.at(*first), self.at(*last)], colour, 0.8)


def sides(values: Sequence[float], log: bool = False) -> tuple[float, float]:
    """Return the ends of an axis around some values, with a little air."""
    low, high = min(values), max(values)
    if log:
        return low / 1.3, high * 1.3
    air = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def ticks(low: float, high: float, log: bool = False) -> list[float]:
    """Return round numbers between two."""
    if log:
        decades = floor(log10(high)) - floor(log10(low))
        found = LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)).tick_values(low, high)
    else:
        found = MaxNLocator(6).tick_values(low, high)
    return [float(tick) for tick in found if low <= tick <= high]


def _share(low: float, high: float, value: float) -> float:
    return 0.5 if high == low else min(1.0, max(0.0, (value - low) / (high - low)))
