"""Names beside the points of a figure, where neither another name nor an interval is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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
    scale = figure.dpi / 72  # of boxes, which are in pixels
    inside = axes.get_window_extent().extents
    points = axes.transData.transform([one.point for one in labels]) if labels else np.empty((0, 2))
    taken = [_bar(axes, bar, scale) for bar in bars]
    taken += [np.concatenate([at - MARKER * scale, at + MARKER * scale]) for at in points]
    for label, at in zip(labels, points, strict=True):
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
        half = np.array(text.get_window_extent(renderer).size) / 2 / scale
        offsets = _offsets(half)
        middles = at + offsets * scale
        boxes = np.hstack([middles - half * scale, middles + half * scale])
        chosen = int(_costs(boxes, inside, np.array(taken)).argmin())  # of equal ones the nearest
        text.set_position(_pair(offsets[chosen]))
        taken.append(boxes[chosen])
        if DISTANCES[chosen // DIRECTIONS] >= FAR:
            _lead(axes, label, offsets[chosen], half)


def _offsets(half: Floats) -> Floats:
    """Return where a name's middle may lie (places, 2): its edge at each distance, all around.

    The nearest come first, of these those beside the point.
    """
    turns = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    turns = turns[np.argsort(np.abs(np.sin(turns)), kind="stable")]
    around = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.concatenate([around * (distance + half) for distance in DISTANCES])


def _bar(axes: Axes, bar: tuple[float, float, float], scale: float) -> Floats:
    x, one, other = bar
    ends = axes.transData.transform([(x, one), (x, other)])
    aside = np.array([3 * scale, 0])
    return np.concatenate([ends.min(axis=0) - aside, ends.max(axis=0) + aside])


def _costs(boxes: Floats, inside: Floats, taken: Floats) -> Floats:
    """Return the area that each box (n, 4) shares with those taken (m, 4) or has outside."""
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shared = _shared(boxes[:, None], taken).sum(axis=1)
    found: Floats = np.round(whole - _shared(boxes, inside) + shared)
    return found


def _shared(boxes: Floats, others: Floats) -> Floats:
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    found: Floats = (high - low).clip(min=0).prod(axis=-1)
    return found


def _lead(axes: Axes, label: Label, offset: Floats, half: Floats) -> None:
    axes.annotate(
        "",
        label.point,
        xytext=_pair(offset - np.clip(offset, -half, half)),  # the name's edge nearest the point
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "alpha": 0.7},
        zorder=2,
    )


def _pair(values: Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])
