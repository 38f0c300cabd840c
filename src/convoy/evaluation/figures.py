"""The figures of a run: what is mistaken for what, and how the training went.

Drawn on matplotlib's `Figure` itself, without pyplot: nothing global is opened, changed or left
behind, so figures may be drawn in any thread and on a machine without a screen. Colours: blue and
vermilion of Okabe and Ito, "Color universal design" (2008), that colour-blind readers tell apart.
"""

from collections.abc import Mapping, Sequence
from math import ceil, isfinite
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

if TYPE_CHECKING:  # the pipeline draws curves without what evaluates
    from convoy.evaluation.metrics import Evaluation

BLUE, VERMILION, INK, FAINT, NO_IMAGES = "#0072B2", "#D55E00", "#262626", "#8c8c8c", "#e8e8e8"
RIGHT_OR_WRONG = LinearSegmentedColormap.from_list(
    "right_or_wrong",
    ["#7a2e00", VERMILION, "#f7c9a9", "white", "#a9d3ec", BLUE, "#003a5c"],
    N=257,  # odd, so that nothing is exactly white
)
COLOURS = {"train": BLUE, "val": VERMILION}
MOST_COUNTS = 20  # with more classes the numbers would be too small to read
MOST_NAMES = 100
LONGEST_NAME = 22

History = Mapping[str, Sequence[tuple[int, float]]]


def confusion_figure(evaluation: "Evaluation") -> Figure:
    """Draw the confusion matrix: blue what is right, vermilion what is mistaken, per true class.

    A row without images is grey. Above 20 classes the counts, above 100 some of the names are left
    out.
    """
    confusion = np.array(evaluation.confusion)
    names = [_short(one.name) for one in evaluation.per_class]
    cell = min(max(8 / len(names), 0.115), 0.62, 14 / len(names))  # inches
    side = max(cell * len(names), 3.0)
    points = min(10.0, max(4.5, cell * 40))
    longest = max(map(len, names)) * points * 0.6 / 72  # inches
    upright = longest < side / len(names)
    size = side + 2.0 + longest, side + 1.6 + (0.2 if upright else longest)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.add_subplot()

    shares = _signed_shares(confusion)
    norm = FuncNorm((_signed_root, _signed_square), vmin=-1, vmax=1)
    image = axes.imshow(shares, cmap=RIGHT_OR_WRONG.with_extremes(bad=NO_IMAGES), norm=norm)
    if len(names) <= MOST_COUNTS:
        _write_counts(axes, confusion, shares, cell)
    _name_classes(axes, names, points, upright)
    images = f"{evaluation.count:,} image{'' if evaluation.count == 1 else 's'}"
    interval = f"{evaluation.accuracy_low:.1%} to {evaluation.accuracy_high:.1%}"
    axes.set_title(
        f"Accuracy {evaluation.accuracy:.1%}\n{interval} with 95% confidence, {images}",
        loc="left",
        color=INK,
        fontsize=10,
        linespacing=1.4,
    )
    _draw_key(figure, axes, image)
    return figure


def curves_figure(history: History, title: str) -> Figure:
    """Draw `<split>/loss` and `<split>/accuracy`, each a sequence of (epoch, value), by epoch.

    Other metrics are left out; so is a value that is not finite. The best epoch of val/accuracy is
    marked.
    """
    spaces = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08, wspace=0.06)
    figure = Figure(figsize=(10, 4), dpi=150, layout=spaces)
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, color=INK, parse_math=False)
    loss, accuracy = figure.subplots(1, 2)
    losses = _draw_curves(loss, history, "loss")
    _draw_curves(accuracy, history, "accuracy")
    loss.set_title("Loss", loc="left", fontsize=10, color=INK)
    accuracy.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    # A run that nearly diverged, or fits its training images perfectly, would be a flat line.
    if losses and min(losses) > 0 and max(losses) > 50 * min(losses):
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
    best = max(_finite(history.get("val/accuracy", ())), key=lambda point: point[1], default=None)
    name = "Accuracy"
    if best:
        name += f", best {best[1]:.1%} in epoch {best[0]}"
        accuracy.plot(*best, "o", color=VERMILION, markersize=8, markeredgecolor="white", zorder=4)
    accuracy.set_title(name, loc="left", fontsize=10, color=INK)
    return figure


def _draw_curves(axes: Axes, history: History, metric: str) -> list[float]:
    drawn = {
        split: points
        for split in COLOURS
        if (points := _finite(history.get(f"{split}/{metric}", ())))
    }
    for split, points in drawn.items():
        marker = "o" if len(points) < 20 else None
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, color=COLOURS[split])
    # The curve that ends higher has its name above its end, so that two names never collide.
    by_end = sorted(drawn, key=lambda split: drawn[split][-1][1])
    for split in drawn:
        axes.annotate(
            split,
            drawn[split][-1],
            xytext=(7, 0),
            textcoords="offset points",
            va="center" if len(by_end) == 1 else "top" if split == by_end[0] else "bottom",
            fontsize=9,
            color=COLOURS[split],
        )
    values = [value for points in drawn.values() for _, value in points]
    if not values:
        axes.text(0.5, 0.5, "nothing recorded", ha="center", color=FAINT, transform=axes.transAxes)
    axes.set_xlabel("epoch", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.08, y=0.12)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, labelsize=9, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    return values


def _finite(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in points if isfinite(value)]


def _signed_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row's shares, those off the diagonal negative; NaN for a row without images."""
    images = confusion.sum(axis=1, keepdims=True)
    shares = np.full(confusion.shape, np.nan)
    np.divide(confusion, images, out=shares, where=images > 0)
    return np.where(np.eye(len(confusion), dtype=bool), shares, -shares)


def _signed_root(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    # A root, so that one mistake in a hundred is still to be seen beside a class that is right.
    return np.sign(shares) * np.sqrt(np.abs(shares))


def _signed_square(roots: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(roots) * np.square(roots)


def _draw_key(figure: Figure, axes: Axes, image: AxesImage) -> None:
    ticks = [-1, -0.5, -0.2, -0.05, 0, 0.05, 0.2, 0.5, 1]
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=28, pad=0.03, ticks=ticks)
    bar.ax.set_yticklabels([f"{abs(tick):.0%}" for tick in ticks], fontsize=8, color=INK)
    bar.ax.tick_params(length=0)
    bar.ax.set_title("right", loc="left", pad=7, fontsize=9, color=BLUE)
    bar.ax.set_xlabel("mistaken", loc="left", labelpad=7, fontsize=9, color=VERMILION)
    bar.set_label("share of the true class", fontsize=9, color=INK)
    bar.outline.set_visible(False)


def _write_counts(
    axes: Axes, confusion: NDArray[np.int64], shares: NDArray[np.float64], cell: float
) -> None:
    size = min(10.0, cell * 72 / (len(str(confusion.max())) + 1))
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if abs(shares[row, column]) > 0.4 else INK
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=size, color=colour
            )


def _name_classes(axes: Axes, names: Sequence[str], size: float, upright: bool) -> None:
    shown = range(0, len(names), ceil(len(names) / MOST_NAMES))
    labels = [names[i] for i in shown]
    # A dollar sign in a name is a dollar sign, not the start of a formula.
    axes.set_yticks(shown, labels, fontsize=size, parse_math=False)
    axes.set_xticks(shown, labels, fontsize=size, parse_math=False, rotation=0 if upright else 90)
    axes.tick_params(length=0, colors=INK)
    axes.set_ylabel("true class", fontsize=10, color=INK)
    axes.set_xlabel("predicted class", fontsize=10, color=INK)
    axes.spines[:].set_color("#d0d0d0")
    if len(names) <= MOST_NAMES:
        between = np.arange(1, len(names)) - 0.5
        axes.set_xticks(between, minor=True)
        axes.set_yticks(between, minor=True)
        axes.grid(which="minor", color="#ededed", linewidth=0.5)
        axes.tick_params(which="minor", length=0)


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
