"""The figure of accuracy against each cost: who is on the front, and who is dominated."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from convoy.evaluation.colours import BLUE, FAINT, INK
from convoy.evaluation.labels import Label, place
from convoy.evaluation.pareto import COSTS, Cost, Priced, dominating

GREY = "#666666"  # what is dominated is still to be read
MOST_NAMES = 16
"""With more networks, only those on the front have their names written."""
WIDE = 10.0
"""How many times the lowest error the highest is before the errors' axis is logarithmic."""


def figure(networks: Sequence[Priced], title: str) -> Figure:
    """Draw test accuracy with its 95 % interval against latency, parameters and training time.

    Costs have logarithmic axes; so have the errors where they differ by a factor of ten. Networks
    on the front are blue and joined, dominated ones are hollow.
    """
    drawn = Figure(figsize=(12, 4.6), dpi=150)
    drawn.suptitle(title, x=0.012, y=0.97, ha="left", fontsize=12, color=INK, parse_math=False)
    # Not a layout engine: names are placed where there is room, so the axes have to stand still.
    drawn.subplots_adjust(left=0.065, right=0.99, top=0.83, bottom=0.13, wspace=0.06)
    _legend(drawn)
    panels = drawn.subplots(1, len(COSTS), sharey=True)
    errors = [1 - one.accuracy for one in networks]
    logarithmic = bool(errors) and max(errors) > WIDE * max(min(errors), 1e-9)
    floor = min((e for e in errors if e > 0), default=1e-4) / 3
    for axes, cost in zip(panels, COSTS, strict=True):
        _panel(axes, [one for one in networks if cost in one.costs], cost, floor)
    if logarithmic:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].yaxis.set_minor_formatter(NullFormatter())
    panels[0].invert_yaxis()
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 * (1 - error):g}%"))
    panels[0].set_ylabel("test accuracy, with its 95% interval", fontsize=9, color=INK)
    for axes, cost in zip(panels, COSTS, strict=True):
        _name(drawn, axes, [one for one in networks if cost in one.costs], cost, floor)
    return drawn


def _panel(axes: Axes, networks: Sequence[Priced], cost: Cost, floor: float) -> None:
    beaten = dominating(networks, cost)
    axes.set_xscale("log")
    axes.set_autoscalex_on(False)
    for one in networks:
        error, colour = _error(one.accuracy, floor), FAINT if one.name in beaten else BLUE
        ends = [[max(0.0, error - _error(one.high, floor))], [max(0.0, 1 - one.low - error)]]
        fill = "white" if one.name in beaten else colour
        axes.errorbar(
            [one.costs[cost]],
            [error],
            yerr=ends,
            fmt="o",
            color=colour,
            markerfacecolor=fill,
            markersize=6,
            elinewidth=1,
            capsize=2,
            zorder=3,
        )
    front = sorted((o for o in networks if o.name not in beaten), key=lambda o: o.costs[cost])
    for here, there in pairwise(front):
        # A stair: between two networks nobody has tried anything.
        x, y = here.costs[cost], _error(here.accuracy, floor)
        axes.plot([x, there.costs[cost]], [y, y], color=BLUE, linewidth=1, alpha=0.4, zorder=1)
        rise = [y, _error(there.accuracy, floor)]
        axes.plot([there.costs[cost]] * 2, rise, color=BLUE, linewidth=1, alpha=0.4, zorder=1)
    axes.set_title(COSTS[cost], loc="left", fontsize=10, color=INK)
    if not networks:
        axes.text(0.5, 0.5, "not measured", ha="center", color=FAINT, transform=axes.transAxes)
    axes.margins(y=0.12)
    _scale(axes, [one.costs[cost] for one in networks])
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, labelsize=9, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def _legend(drawn: Figure) -> None:
    on, off = (
        Line2D([], [], linestyle="", marker="o", markersize=6, color=colour, markerfacecolor=fill)
        for colour, fill in ((BLUE, BLUE), (FAINT, "white"))
    )
    words = ["none is as accurate for less", "dominated: another is, for less"]
    drawn.legend(
        [on, off],
        words,
        loc="upper right",
        bbox_to_anchor=(0.995, 0.995),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handletextpad=0.1,
    )


def _scale(axes: Axes, values: Sequence[float]) -> None:
    lowest, highest = min(values, default=1), max(values, default=1)
    # Room for the names at both ends, and for a single network too.
    room = max((highest / lowest) ** 0.16, 1.6)
    axes.set_xlim(lowest / room, highest * room)
    narrow = highest < 30 * lowest
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _error(accuracy: float, floor: float) -> float:
    """Return the error; one of 0 has a place on a logarithmic axis too."""
    return max(1 - accuracy, floor)


def _name(drawn: Figure, axes: Axes, networks: Sequence[Priced], cost: Cost, floor: float) -> None:
    beaten = dominating(networks, cost)
    named = [o for o in networks if len(networks) <= MOST_NAMES or o.name not in beaten]
    labels = [
        Label(
            one.name,
            (one.costs[cost], _error(one.accuracy, floor)),
            GREY if one.name in beaten else BLUE,
        )
        for one in sorted(named, key=lambda one: one.name in beaten)
    ]
    bars = [(one.costs[cost], 1 - one.low, _error(one.high, floor)) for one in networks]
    place(drawn, axes, labels, bars)
