"""The figure of robustness: accuracy by strength, above what each strength does to an image."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.chart import Chart
from convoy.evaluation.colours import BLUE, VERMILION
from convoy.evaluation.contact_sheet import MARGIN, Sheet, plural
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
        chart = Chart(sheet, x, y, WIDE, HIGH, (-0.5, STEPS - 0.5), (bottom, 1.0))
        _draw_curve(chart, found, name, labelled=place % COLUMNS == 0)
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


def _draw_curve(chart: Chart, found: Robustness, name: str, labelled: bool) -> None:
    """Draw accuracy by strength with its 95 % interval."""
    area = found.relative[name]
    chart.name(name, "" if area is None else f"{area:.1%}", BLUE)
    ticks = np.arange(chart.y[0], 1.01, 0.2)
    chart.mark_y({float(tick): f"{tick:.0%}" if labelled else "" for tick in ticks})
    values = [found.clean, *found.accuracy[name]]
    spread = [wilson_interval(round(value * found.images), found.images) for value in values]
    lows, highs = (list(enumerate(end)) for end in zip(*spread, strict=True))
    chart.band(lows, highs, BLUE)
    chart.straight((chart.x[0], found.clean), (chart.x[1], found.clean))
    chart.curve(list(enumerate(values)), BLUE)
    chart.mark_x({step: str(step) if step else "clean" for step in range(len(values))})


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
        sheet.write(f"{areas[name]:.0%}", end + 0.06, top + row / 2)
