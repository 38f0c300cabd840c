"""The figures of a run: what is mistaken for what, and how the training went."""

from collections.abc import Mapping, Sequence
from math import ceil, isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from convoy.evaluation.chart import Chart, sides, ticks
from convoy.evaluation.colours import BLUE, FAINT, INK, NO_IMAGES, RIGHT_OR_WRONG, VERMILION
from convoy.evaluation.contact_sheet import HEAD, MARGIN, Sheet, inches, plural

if TYPE_CHECKING:  # the pipeline draws curves without what evaluates
    from convoy.evaluation.metrics import Evaluation

COLOURS = {"train": BLUE, "val": VERMILION}
MOST_COUNTS = 20  # with more classes the numbers would be too small to read
MOST_NAMES = 100
LONGEST_NAME = 22
KEY = 1.75
"""Inches of the key beside a confusion matrix."""

History = Mapping[str, Sequence[tuple[int, float]]]


def confusion_figure(evaluation: "Evaluation") -> Sheet:
    """Draw the confusion matrix: blue what is right, vermilion what is mistaken, per true class.

    A row without images is grey. Above 20 classes the counts, above 100 some of the names are left
    out.
    """
    confusion = np.array(evaluation.confusion)
    names = [_short(one.name) for one in evaluation.per_class]
    cell = min(max(8 / len(names), 0.115), 0.62, 14 / len(names))  # inches
    side = max(cell * len(names), 3.0)
    points = min(10.0, max(4.5, cell * 40))
    longest = max(inches(name, points) for name in names)
    upright = longest < 0.9 * side / len(names)
    left, top = MARGIN + 0.25 + longest + 0.1, HEAD
    below = 0.2 if upright else longest + 0.1
    interval = f"{evaluation.accuracy_low:.1%} to {evaluation.accuracy_high:.1%}"
    sheet = Sheet(
        *(left + side + KEY, top + side + below + 0.5),
        f"Accuracy {evaluation.accuracy:.1%}",
        f"{interval} with 95% confidence, {plural(evaluation.count, 'image')}.",
    )
    shares = _signed_shares(confusion)
    sheet.show(_coloured(shares), left, top, side)
    cell = side / len(names)
    if len(names) <= MOST_NAMES:
        _draw_grid(sheet, left, top, side, len(names))
    if len(names) <= MOST_COUNTS:
        _write_counts(sheet, left, top, confusion, shares, cell)
    for place in range(0, len(names), ceil(len(names) / MOST_NAMES)):
        middle = (place + 0.5) * cell
        sheet.write(names[place], left - 0.08, top + middle, points=points, align="right")
        bottom = top + side + 0.1
        if upright:
            where = left + middle, bottom + 0.04
            sheet.write(names[place], *where, points=points, align="centre")
        else:
            sheet.write(names[place], left + middle, bottom, points=points, turned=True)
    sheet.write("true class", MARGIN + 0.05, top + side / 2, turned=True, points=9, align="centre")
    foot = top + side + below + 0.26
    sheet.write("predicted class", left + side / 2, foot, points=9, align="centre")
    _draw_key(sheet, left + side + 0.35, top + 0.12 * side, 0.76 * side)
    return sheet


def curves_figure(history: History, title: str) -> Sheet:
    """Draw `<split>/loss` and `<split>/accuracy`, each a sequence of (epoch, value), by epoch.

    Other metrics are left out; so is a value that is not finite. The best epoch of val/accuracy is
    marked.
    """
    sheet = Sheet(10, 4.4, title, "By epoch, on the training and the validation images.")
    top, wide, high = 1.35, 3.85, 2.35
    _draw_curves(sheet, (0.85, top, wide, high), history, "loss", "Loss")
    best = max(_finite(history.get("val/accuracy", ())), key=lambda point: point[1], default=None)
    name = f"Accuracy, best {best[1]:.1%} in epoch {best[0]}" if best else "Accuracy"
    place = 0.85 + wide + 0.95, top, wide, high
    chart = _draw_curves(sheet, place, history, "accuracy", name)
    if chart and best:
        sheet.dot(chart.at(*best), VERMILION, 8)
    return sheet


def _draw_curves(
    sheet: Sheet, place: tuple[float, float, float, float], history: History, metric: str, name: str
) -> Chart | None:
    drawn = {
        split: points
        for split in COLOURS
        if (points := _finite(history.get(f"{split}/{metric}", ())))
    }
    left, top, wide, high = place
    if not drawn:
        sheet.write(name, left, top - 0.22, points=10)
        where = left + wide / 2, top + high / 2
        sheet.write("nothing recorded", *where, points=9, colour=FAINT, align="centre")
        return None
    values = [value for points in drawn.values() for _, value in points]
    epochs = [epoch for points in drawn.values() for epoch, _ in points]
    # A run that nearly diverged, or fits its training images perfectly, would be a flat line.
    log = metric == "loss" and min(values) > 0 and max(values) > 50 * min(values)
    ends = sides(values, log)
    chart = Chart(sheet, *place, x=(min(epochs) - 0.5, max(epochs) + 0.5), y=ends, log=log)
    chart.name(name)
    form = "{:.4g}".format if metric == "loss" else lambda value: f"{100 * value:.4g}%"
    chart.mark_y({tick: form(tick) for tick in ticks(*ends, log)})
    steps = MaxNLocator(8, integer=True, min_n_ticks=1).tick_values(min(epochs), max(epochs))
    there = [tick for tick in steps if min(epochs) <= tick <= max(epochs)]
    chart.mark_x({float(tick): f"{tick:g}" for tick in there}, "epoch")
    # The curve that ends higher has its name above its end, so that two names never collide.
    by_end = sorted(drawn, key=lambda split: drawn[split][-1][1])
    for split, points in drawn.items():
        chart.curve(points, COLOURS[split], dots=len(points) < 20)
        x, y = chart.at(*points[-1])
        aside = 0 if len(by_end) == 1 else 0.07 if split == by_end[0] else -0.07
        sheet.write(split, x + 0.1, y + aside, points=9, colour=COLOURS[split])
    return chart


def _finite(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in points if isfinite(value)]


def _signed_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row's shares, those off the diagonal negative; NaN for a row without images."""
    images = confusion.sum(axis=1, keepdims=True)
    shares = np.full(confusion.shape, np.nan)
    np.divide(confusion, images, out=shares, where=images > 0)
    return np.where(np.eye(len(confusion), dtype=bool), shares, -shares)


def _coloured(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return signed shares in the colours of what is right and wrong, (..., 3)."""
    # A root, so that one mistake in a hundred is still to be seen beside a class that is right.
    roots = np.sign(shares) * np.sqrt(np.abs(shares))
    coloured = np.asarray(RIGHT_OR_WRONG.with_extremes(bad=NO_IMAGES)((roots + 1) / 2))
    found: NDArray[np.uint8] = (coloured[..., :3] * 255).round().astype(np.uint8)
    return found


def _draw_grid(sheet: Sheet, left: float, top: float, side: float, classes: int) -> None:
    for place in range(classes + 1):
        at = place * side / classes
        sheet.rule(top + at, left, left + side)
        sheet.upright(left + at, top, top + side)


def _write_counts(
    sheet: Sheet,
    left: float,
    top: float,
    confusion: NDArray[np.int64],
    shares: NDArray[np.float64],
    cell: float,
) -> None:
    size = min(10.0, cell * 72 / (len(str(confusion.max())) + 1))
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if abs(shares[row, column]) > 0.4 else INK
            where = left + (column + 0.5) * cell, top + (row + 0.5) * cell
            sheet.write(str(count), *where, points=size, colour=colour, align="centre")


def _draw_key(sheet: Sheet, x: float, top: float, high: float) -> None:
    """Draw which colour is which share of a true class, right above and mistaken below."""
    roots = np.linspace(1, -1, 200)
    strip = np.repeat(_coloured(np.sign(roots) * roots**2)[:, None], 6, axis=1)
    sheet.show(strip, x - high / 2 + 0.06, top, high)
    sheet.write("right", x, top - 0.14, points=9, colour=BLUE)
    sheet.write("mistaken", x, top + high + 0.14, points=9, colour=VERMILION)
    for tick in (-1, -0.5, -0.2, -0.05, 0, 0.05, 0.2, 0.5, 1):
        root = sqrt(abs(tick)) * (1 if tick > 0 else -1)
        sheet.write(f"{abs(tick):.0%}", x + 0.18, top + high * (1 - root) / 2)
    words = x + 0.75, top + high / 2
    sheet.write("share of the true class", *words, points=9, turned=True, align="centre")


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
