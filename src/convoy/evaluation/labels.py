"""Names beside the points of a figure, where neither another name nor an interval is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

DISTANCES = (9, 14, 20, 28, 38, 50, 64)
"""How far from its point a name may lie, in typographic points."""
DIRECTIONS = 16
FAR = 18
"""The distance from which on a line leads from the name to its point."""
MARKER = 5
"""Half the side of what a marker takes, in typographic points."""


@dataclass(frozen=True)
class Label:
    """A name and its point, in the axes' own numbers."""

    text: str
    point: tuple[float, float]
    colour: str


def place(
    figure: Figure,
    axes: Axes,
    labels: Sequence[Label],
    bars: Sequence[tuple[float, float, float]],
    size: float = 9,
) -> None:
    """Write each label as near its point as there is room, the first ones first.

    `bars` are vertical lines (x, y, y) with a marker that no name may cover. The axes must have
    their final place in the figure.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    scale = figure.dpi / 72
    inside = axes.get_window_extent()
    taken = [_bar(axes, bar, scale) for bar in bars]
    taken += [_around(axes.transData.transform(one.point), scale) for one in labels]
    for label in labels:
        text = axes.annotate(
            label.text,
            label.point,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=label.colour,
            parse_math=False,
            zorder=5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        box = text.get_window_extent(renderer)
        half = box.width / 2 / scale, box.height / 2 / scale
        point = axes.transData.transform(label.point)
        offsets = [offset for far in DISTANCES for offset in _around_at(far, half)]
        boxes = [_moved(box, point, offset, scale) for offset in offsets]
        costs = [_cost(one, inside, taken) for one in boxes]
        chosen = costs.index(min(costs))  # the nearest one where several cost as little
        text.set_position(offsets[chosen])
        taken.append(boxes[chosen])
        if DISTANCES[chosen // DIRECTIONS] >= FAR:
            _lead(axes, label, offsets[chosen], half)


def _around_at(far: float, half: tuple[float, float]) -> list[tuple[float, float]]:
    """Return where a name's middle may lie: the name's edge at the same distance in any direction.

    Beside the point comes first, then above and below.
    """
    turns = sorted(range(DIRECTIONS), key=lambda turn: abs(sin(2 * pi * turn / DIRECTIONS)))
    angles = (2 * pi * turn / DIRECTIONS for turn in turns)
    return [(cos(a) * (far + half[0]), sin(a) * (far + half[1])) for a in angles]


def _moved(
    box: Bbox, point: tuple[float, float], offset: tuple[float, float], scale: float
) -> Bbox:
    x, y = (at + move * scale for at, move in zip(point, offset, strict=True))
    return Bbox.from_bounds(x - box.width / 2, y - box.height / 2, box.width, box.height)


def _around(point: tuple[float, float], scale: float) -> Bbox:
    side = MARKER * scale
    return Bbox.from_bounds(point[0] - side, point[1] - side, 2 * side, 2 * side)


def _bar(axes: Axes, bar: tuple[float, float, float], scale: float) -> Bbox:
    x, one, other = bar
    ends = sorted(axes.transData.transform([(x, one), (x, other)])[:, 1])
    middle = axes.transData.transform((x, one))[0]
    return Bbox.from_extents(middle - 3 * scale, ends[0], middle + 3 * scale, ends[1])


def _cost(box: Bbox, inside: Bbox, taken: Sequence[Bbox]) -> float:
    """Return the area that a name would share with others or have outside of the axes."""
    within = Bbox.intersection(box, inside)
    outside = box.width * box.height - (within.width * within.height if within else 0)
    shared = (Bbox.intersection(box, other) for other in taken)
    return round(outside) + sum(one.width * one.height for one in shared if one)


def _lead(axes: Axes, label: Label, offset: tuple[float, float], half: tuple[float, float]) -> None:
    # From the point to the nearest edge of the name.
    x = offset[0] - max(-half[0], min(half[0], offset[0]))
    y = offset[1] - max(-half[1], min(half[1], offset[1]))
    axes.annotate(
        "",
        label.point,
        xytext=(x, y),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "alpha": 0.7},
        zorder=2,
    )
