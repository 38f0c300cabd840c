"""The figure of robustness: accuracy by strength, above what each strength does to an image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from convoy.evaluation.contact_sheet import MARGIN, Sheet, plural
from convoy.evaluation.figures import BLUE, FAINT, INK, VERMILION
from convoy.evaluation.robustness import Robustness
from convoy.evaluation.significance import wilson_interval

COLUMNS = 4
WIDE, HIGH = 2.15, 1.3
"""Inches of the curves of one corruption."""
THUMB = 0.33
BETWEEN, ROW, LEFT, TOP = 0.42, 2.42, 0.62, 1.22


def robustness_figure(
    found: Robustness, samples: Mapping[str, NDArray[np.uint8]], title: str
) -> Figure:
    """Draw each corruption's curve; `samples` has one image as it is and at each strength.

    They are RGB, (1 + strengths, H, W, 3).
    """
    width = LEFT + COLUMNS * (WIDE + BETWEEN) - BETWEEN + MARGIN
    height = TOP + 2 * ROW - 0.15
    sheet = Sheet(width, height, f"{title}: robustness", _reading(found))
    chance = [found.clean, *(value for curve in found.accuracy.values() for value in curve)]
    bottom = 0.0 if min(chance) < 0.5 else 0.45
    for place, name in enumerate(found.accuracy):
        x = LEFT + place % COLUMNS * (WIDE + BETWEEN)
        y = TOP + place // COLUMNS * ROW
        axes = _axes(sheet, x, y, WIDE, HIGH)
        _draw_curve(axes, found, name, bottom)
        if place % COLUMNS:
            axes.set_yticklabels([])
        for step, picture in enumerate(samples[name]):
            middle = x + WIDE * (step + 0.5) / 6
            sheet.show(picture, middle - THUMB / 2, y + HIGH + 0.24, THUMB)
    rest = len(found.accuracy) % COLUMNS
    x, y = LEFT + rest * (WIDE + BETWEEN), TOP + len(found.accuracy) // COLUMNS * ROW
    _draw_areas(_axes(sheet, x + 0.62, y, WIDE - 0.62, HIGH + 0.2), found)
    return sheet.figure


def _reading(found: Robustness) -> str:
    images = plural(found.images, "test image")
    if found.all is None:
        return f"Accuracy on {images}: none is right even as it is."
    spread = "" if found.low is None else f" (95% interval {found.low:.1%} to {found.high:.1%})"
    return (
        f"Accuracy on {images} as they are, and harmed ever more: on average {found.all:.1%} "
        f"of the area under the curve is left{spread}."
    )


def _axes(sheet: Sheet, x: float, y: float, wide: float, high: float) -> Axes:
    width, height = sheet.figure.get_size_inches()
    axes = sheet.figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))
    axes.tick_params(which="both", colors=INK, labelsize=8, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.set_axisbelow(True)
    return axes


def _draw_curve(axes: Axes, found: Robustness, name: str, bottom: float) -> None:
    values = [found.clean, *found.accuracy[name]]
    steps = range(len(values))
    spread = [wilson_interval(round(value * found.images), found.images) for value in values]
    axes.fill_between(
        steps,
        [low for low, _ in spread],
        [high for _, high in spread],
        color=BLUE,
        alpha=0.15,
        lw=0,
    )
    axes.axhline(found.clean, color=FAINT, linewidth=0.8, linestyle="--")
    axes.plot(steps, values, color=BLUE, marker="o", markersize=3.5)
    area = found.relative[name]
    axes.set_title(name, loc="left", fontsize=10, color=INK)
    if area is not None:
        axes.set_title(f"{area:.1%}", loc="right", fontsize=9, color=BLUE)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_xticks(steps, ["clean", *map(str, steps[1:])])
    axes.set_ylim(bottom, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)


def _draw_areas(axes: Axes, found: Robustness) -> None:
    areas = {name: area for name, area in found.relative.items() if area is not None}
    order = sorted(areas, key=lambda name: areas[name])
    weakest = order[:1]
    axes.barh(
        order,
        [areas[name] for name in order],
        color=[VERMILION if name in weakest else BLUE for name in order],
        height=0.6,
    )
    for place, name in enumerate(order):
        axes.text(
            areas[name] + 0.02, place, f"{areas[name]:.0%}", va="center", fontsize=8, color=INK
        )
    axes.set_xlim(0, 1.2)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("what is left", loc="left", fontsize=10, color=INK, x=-0.4)
