"""The figures of calibration: what confidence is worth, and what withholding answers buys."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from convoy.evaluation.calibration import Bin, Calibration
from convoy.evaluation.figures import BLUE, FAINT, INK, VERMILION


def reliability_figure(calibration: Calibration, title: str) -> Figure:
    """Draw accuracy by confidence before and after the temperature, and where the images are."""
    figure = _figure(title, (5.2, 5))
    axes, below = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
    before, after = calibration.before, calibration.after
    error = f"{before.expected_calibration_error:.1%}"
    _draw_bins(axes, calibration.reliability, BLUE, f"as it is: error {error}")
    error = f"{after.expected_calibration_error:.1%}"
    label = f"temperature {calibration.temperature:.2f}: error {error}"
    _draw_bins(axes, calibration.reliability_after, VERMILION, label)
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("accuracy", fontsize=9, color=INK)
    axes.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK)
    bins = calibration.reliability
    width = bins[0].high - bins[0].low
    below.bar(
        [one.low for one in bins],
        [one.images for one in bins],
        width=0.9 * width,
        align="edge",
        color=BLUE,
    )
    below.set_xlim(0, 1)
    below.set_ylabel("images", fontsize=9, color=INK)
    below.set_xlabel("confidence: the highest probability", fontsize=9, color=INK)
    below.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    for each in (axes, below):
        _clean(each)
    return figure


def coverage_figure(calibration: Calibration, title: str) -> Figure:
    """Draw the accuracy of the answers that are given by the share of images that get one."""
    figure = _figure(title, (5.2, 4))
    axes = figure.add_subplot()
    points = [one for one in calibration.coverage if one.accuracy is not None]
    axes.plot([one.coverage for one in points], [one.accuracy for one in points], color=BLUE)
    marked = [one for one in points if one.threshold in (0.5, 0.8, 0.9, 0.95, 0.99)]
    for number, one in enumerate(marked):
        axes.plot(one.coverage, one.accuracy, "o", color=VERMILION, markersize=5)
        axes.annotate(
            f"{one.threshold:.0%}",
            (one.coverage, one.accuracy),
            xytext=(4, -12 if number % 2 else 5),
            textcoords="offset points",
            fontsize=8,
            color=VERMILION,
        )
    axes.set_xlabel("images answered, the others are less confident", fontsize=9, color=INK)
    axes.set_ylabel("accuracy of the answers", fontsize=9, color=INK)
    axes.invert_xaxis()
    axes.margins(x=0.06, y=0.15)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    _clean(axes)
    return figure


def _figure(title: str, size: tuple[float, float]) -> Figure:
    spaces = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    figure = Figure(figsize=size, dpi=110, layout=spaces)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, color=INK, parse_math=False)
    return figure


def _draw_bins(axes: Axes, bins: tuple[Bin, ...], colour: str, label: str) -> None:
    there = [one for one in bins if one.images]
    axes.plot(
        [one.confidence for one in there],
        [one.accuracy for one in there],
        marker="o",
        markersize=4,
        linewidth=1.5,
        color=colour,
        label=label,
    )


def _clean(axes: Axes) -> None:
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, labelsize=9, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
