"""The figure of a learning-rate range test: the loss by the rate, and the rates that stand out."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from convoy.evaluation.colours import BLUE, FAINT, INK, VERMILION


def rates_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    title: str,
) -> Figure:
    """Draw each step's loss faintly, the smoothed one over it, and `marks`: rates by their names.

    The axis ends a little above what the smoothed loss began with: how it explodes says nothing.
    """
    spaces = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    figure = Figure(figsize=(7, 4.5), dpi=150, layout=spaces)
    figure.suptitle(title, x=0.017, ha="left", fontsize=12, color=INK, parse_math=False)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.plot(rates, losses, ".", color=FAINT, markersize=3, label="a batch")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    if smoothed:
        axes.set_ylim(0, 1.3 * max(smoothed[: 1 + len(smoothed) // 2]))
    for number, (name, rate) in enumerate(marks.items()):
        axes.axvline(rate, color=VERMILION, linewidth=1, linestyle=("-", "--", ":")[number % 3])
        # One below the other, so that near rates keep their names apart.
        axes.annotate(
            f"{name}: {rate:g}",
            (rate, 0.97 - 0.07 * number),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=9,
            color=VERMILION,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_xlabel("learning rate", fontsize=9, color=INK)
    axes.set_title("Loss in training", loc="left", fontsize=10, color=INK)
    axes.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, labelsize=9, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    return figure
