"""The figure of robustness: accuracy by strength, above what each strength does to an image."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.contact_sheet import MARGIN, Sheet, plural
from convoy.evaluation.figures import BLUE, FAINT, INK, VERMILION
from convoy.evaluation.robustness import Robustness
from convoy.evaluation.significance import wilson_interval

COLUMNS = 4
WIDE, HIGH = 2.15, 1.3
"""Inches of the curves of one corruption."""
THUMB = 0.33
STEPS = 6
"""As they are, and five strengths."""
BETWEEN, ROW, LEFT, TOP = 0.42, 2.42, 0.62, 1.22


def robustness_figure(
    found: Robustness, samples: Mapping[str, NDArray[np.uint8]], title: str
) -> Sheet:
    """Draw each corruption's curve; `samples` has one image as it is and at each strength.

    They are RGB, (1 + strengths, H, W, 3).
    """
    width = LEFT + COLUMNS * (WIDE + BETWEEN) - BETWEEN + MARGIN
    height = TOP + 2 * ROW - 0.15
    sheet = Sheet(width, height, f"{title}: robustness", _reading(found))
    values = [found.clean, *(value for curve in found.accuracy.values() for value in curve)]
    bottom = 0.0 if min(values) < 0.5 else 0.4
    for place, name in enumerate(found.accuracy):
        x = LEFT + place % COLUMNS * (WIDE + BETWEEN)
        y = TOP + place // COLUMNS * ROW
        _draw_curve(sheet, x, y, found, name, bottom)
        for step, picture in enumerate(samples[name]):
            middle = x + WIDE * (step + 0.5) / STEPS
            sheet.show(picture, middle - THUMB / 2, y + HIGH + 0.24, THUMB)
    rest = len(found.accuracy) % COLUMNS
    x, y = LEFT + rest * (WIDE + BETWEEN), TOP + len(found.accuracy) // COLUMNS * ROW
    _draw_areas(sheet, x, y, found)
    return sheet


def _reading(found: Robustness) -> str:
    images = plural(found.images, "test image")
    if found.all is None:
        return f"Accuracy on {images}: none is right even as it is."
    spread = "" if found.low is None else f" (95% interval {found.low:.1%} to {found.high:.1%})"
    return (
        f"Accuracy on {images} as they are, and harmed ever more: on average {found.all:.1%} "
        f"of the area under the curve is left{spread}."
    )


def _draw_curve(
    sheet: Sheet, x: float, y: float, found: Robustness, name: str, bottom: float
) -> None:
    """Draw accuracy by strength with its 95 % interval, its upper left corner at (x, y)."""

    def across(step: float) -> float:
        return x + WIDE * (step + 0.5) / STEPS

    def down(accuracy: float) -> float:
        return y + HIGH * (1 - (max(accuracy, bottom) - bottom) / (1 - bottom))

    sheet.write(name, x, y - 0.22, points=10)
    if (area := found.relative[name]) is not None:
        sheet.write(f"{area:.1%}", x + WIDE, y - 0.22, points=9, colour=BLUE, align="right")
    for tick in np.arange(bottom, 1.01, 0.2):
        sheet.rule(down(tick), x, x + WIDE)
        if x == LEFT:
            sheet.write(f"{tick:.0%}", x - 0.08, down(tick), align="right")
    values = [found.clean, *found.accuracy[name]]
    steps = range(len(values))
    spread = [wilson_interval(round(value * found.images), found.images) for value in values]
    lows = [(across(step), down(low)) for step, (low, _) in zip(steps, spread, strict=True)]
    highs = [(across(step), down(high)) for step, (_, high) in zip(steps, spread, strict=True)]
    sheet.area([*lows, *reversed(highs)], BLUE, 0.15)
    sheet.line([(x, down(found.clean)), (x + WIDE, down(found.clean))], FAINT, 0.8)
    curve = [(across(step), down(value)) for step, value in zip(steps, values, strict=True)]
    sheet.line(curve, BLUE)
    for step, place in zip(steps, curve, strict=True):
        sheet.dot(place, BLUE)
        label = str(step) if step else "clean"
        sheet.write(label, across(step), y + HIGH + 0.12, align="centre")


def _draw_areas(sheet: Sheet, x: float, y: float, found: Robustness) -> None:
    """Draw what is left under each curve as bars, the weakest last and in its own colour."""
    sheet.write("what is left", x, y - 0.22, points=10)
    areas = {name: area for name, area in found.relative.items() if area is not None}
    order = sorted(areas, key=lambda name: -areas[name])
    left, full, row = x + 0.72, WIDE - 1.2, (HIGH + 0.2) / max(len(order), 1)
    for place, name in enumerate(order):
        top = y + place * row
        end = left + full * min(areas[name], 1.2)
        sheet.write(name, left - 0.08, top + row / 2, align="right")
        colour = VERMILION if place == len(order) - 1 else BLUE
        sheet.box(left, top + 0.2 * row, end, top + 0.8 * row, colour)
        sheet.write(f"{areas[name]:.0%}", end + 0.06, top + row / 2, colour=INK)
