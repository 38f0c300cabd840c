"""Charts as SVG inside a page: drawn by numbers, coloured by the page's style, dark or light.

Each has a title that says in words what it shows, for whoever does not see it. Text in them is
escaped by markupsafe.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 38
SERIES = 8
"""Colours and dashes that lines take in turn."""


@dataclass(frozen=True)
class Axis:
    """Numbers along one side of a chart."""

    low: float
    high: float
    label: str
    form: Callable[[float], str]
    log: bool = False
    whole: bool = False
    """Whether only whole numbers mean something."""

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, from 0 to 1."""
        low, high, at = (
            (log10(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return 0.5 if high == low else min(1.0, max(0.0, (at - low) / (high - low)))

    def ticks(self, most: int = 5) -> list[float]:
        if self.log:
            first, last = floor(log10(self.low)), floor(log10(self.high)) + 1
            tens = [10.0**power for power in range(first, last + 1)]
            fine = [step * ten for ten in tens for step in (1, 2, 5)]
            for chosen in (tens, fine):
                found = [tick for tick in chosen if self.low <= tick <= self.high]
                if len(found) >= 3 or chosen is fine:
                    return found[:: max(1, len(found) // most)]
        step = _round_step((self.high - self.low) / most)
        step = max(1.0, round(step)) if self.whole else step
        first = floor(self.low / step)
        steps = (round(step * (first + place), 10) for place in range(most * 2 + 3))
        return [tick for tick in steps if self.low - 1e-9 <= tick <= self.high + 1e-9]


def axis_of(
    values: Iterable[float], label: str, form: Callable[[float], str], log: bool = False
) -> Axis:
    """Return an axis around some values, with a little air; there is at least one value."""
    known = [value for value in values if isfinite(value) and (value > 0 or not log)] or [1.0]
    low, high = min(known), max(known)
    if log:
        return Axis(low / 1.5, high * 1.5, label, form, log=True)
    air = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return Axis(low - air, high + air, label, form)


def percent(value: float) -> str:
    return f"{100 * value:.4g}%"


def short(value: float) -> str:
    """Return a large number in a few characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def lines(title: str, series: Mapping[str, Points], x: Axis, y: Axis) -> Markup:
    """Draw a line a series; a value that is not finite is a gap at its end."""
    drawn = []
    for place, points in enumerate(series.values()):
        known = [(a, b) for a, b in points if isfinite(b) and (b > 0 or not y.log)]
        path = " ".join(f"{_x(x, a)},{_y(y, b)}" for a, b in known)
        drawn.append(
            Markup('<polyline class="line s{}" points="{}"/>').format(place % SERIES, path)
        )
        if len(known) <= 12:
            drawn += [_dot(_x(x, a), _y(y, b), 2.2, f"s{place % SERIES}") for a, b in known]
    return _chart(title, x, y, drawn)


def scatter(
    title: str,
    points: Mapping[str, tuple[float, float]],
    dominated: Iterable[str],
    x: Axis,
    y: Axis,
) -> Markup:
    """Draw a dot a name; those that are `dominated` are hollow."""
    hollow, drawn, taken = set(dominated), [], list[tuple[float, float]]()
    for name, (cost, accuracy) in sorted(points.items(), key=lambda one: -one[1][1]):
        at, height = _x(x, cost), _y(y, accuracy)
        drawn.append(_dot(at, height, 4.5, "hollow" if name in hollow else "s0"))
        right = at > WIDTH * 0.62
        beside = height
        while any(abs(beside - h) < 11 and abs(at - a) < 95 for a, h in taken):
            beside += 4
        taken.append((at, beside))
        drawn.append(
            Markup('<text class="name" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                round(at + (-8 if right else 8), 1), beside + 4, "end" if right else "start", name
            )
        )
    return _chart(title, x, y, drawn)


def reliability(title: str, bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Draw accuracy by confidence: (confidence, accuracy, images) of each bin that has images."""
    whole = Axis(0, 1, "confidence", percent), Axis(0, 1, "accuracy", percent)
    x, y = whole
    most = max((count for *_, count in bins), default=1)
    drawn = [
        Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            _x(x, 0), _y(y, 0), _x(x, 1), _y(y, 1)
        ),
        *(
            _dot(_x(x, at), _y(y, right), 2 + 5 * (count / most) ** 0.5, "s0")
            for at, right, count in bins
        ),
    ]
    return _chart(title, x, y, drawn)


def intervals(title: str, rows: Mapping[str, tuple[float, float, float]]) -> Markup:
    """Draw a row a name: (value, low, high)."""
    values = [value for row in rows.values() for value in row]
    x = axis_of(values, "", percent)
    height = 24 * len(rows) + 34
    left = 110
    wide = 640

    def at(value: float) -> float:
        return round(left + x.share(value) * (wide - left - 16), 1)

    drawn: list[Markup] = []
    for tick in x.ticks(6):
        drawn.append(
            Markup('<line class="grid" x1="{0}" x2="{0}" y1="4" y2="{1}"/>').format(
                at(tick), height - 26
            )
        )
        drawn.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                at(tick), height - 10, percent(tick)
            )
        )
    for place, (name, (value, low, high)) in enumerate(rows.items()):
        y = 16 + 24 * place
        drawn.append(
            Markup('<text class="name" x="{}" y="{}" text-anchor="end">{}</text>').format(
                left - 8, y + 4, name
            )
        )
        drawn.append(
            Markup('<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                at(low), at(high), y, y
            )
        )
        drawn.append(_dot(at(value), y, 4.5, "s0"))
    return _svg(title, wide, height, drawn)


def _chart(title: str, x: Axis, y: Axis, drawn: Iterable[Markup]) -> Markup:
    frame: list[Markup] = []
    for tick in y.ticks():
        at = _y(y, tick)
        frame.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, at, at
            )
        )
        frame.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                LEFT - 6, at + 3.5, y.form(tick)
            )
        )
    for tick in x.ticks():
        frame.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                _x(x, tick), HEIGHT - BOTTOM + 16, x.form(tick)
            )
        )
    frame.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x.label
        )
    )
    return _svg(title, WIDTH, HEIGHT, [*frame, *drawn])


def _svg(title: str, width: int, height: int, drawn: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, escape(title), Markup("").join(drawn))


def _dot(x: float, y: float, radius: float, kind: str) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
        kind, x, y, round(radius, 1)
    )


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM), 1)


def _round_step(step: float) -> float:
    size = 10.0 ** floor(log10(step)) if step > 0 else 1.0
    return next((size * nice for nice in (1, 2, 2.5, 5, 10) if size * nice >= step), size * 10)
