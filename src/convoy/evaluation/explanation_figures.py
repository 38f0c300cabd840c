"""Figures of what a network looks at: first filters, maps by depth, where it saw a class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convoy.evaluation.colours import BLUE, FAINT, RIGHT_OR_WRONG, VERMILION
from convoy.evaluation.contact_sheet import HEAD, MARGIN, Sheet, percent, rows_of
from convoy.evaluation.filters import Filters
from convoy.evaluation.pictures import glowing
from convoy.evaluation.tracing import Layer

FILTERS = 64
OF_EACH_CHANNEL = 24
"""Filters that are shown where each channel has a picture of its own."""
MAPS = 10
TILE = 0.66


def filters_figure(filters: Filters, channels: Sequence[str], title: str) -> Sheet:
    """Draw the first filters: of RGB as colours, else a picture for each of `channels`."""
    total, depth, height, width = filters.weights.shape
    colours = depth == 3 and tuple(channels) == ("red", "green", "blue")
    parts = [""] if colours or depth == 1 else list(channels[:depth])
    shown = filters.weights[: FILTERS if len(parts) == 1 else OF_EACH_CHANNEL].cpu().numpy()
    cell, columns = TILE + 0.1, max(1, min(len(shown), 12))
    each = rows_of(len(shown), columns) * cell
    above = 0.3 if len(parts) > 1 else 0.0
    what = "weights of the whole image" if filters.of_the_whole_image else "filters"
    how = "gray is no weight" if colours else "blue adds, vermilion takes away, white is no weight"
    amount = f"{total:,}" if len(shown) == total else f"The {len(shown)} largest of {total:,}"
    sheet = Sheet(
        *(max(2 * MARGIN + columns * cell - 0.1, 6.5), HEAD + len(parts) * (each + above) + 0.1),
        f"{title}: {filters.name}, what meets the image first",
        f"{amount} {what} of {width} x {height} pixels; {how}. Each in its own scale.",
    )
    for part, name in enumerate(parts):
        top = HEAD + part * (each + above)
        if name:
            sheet.write(name, MARGIN, top + 0.08, points=9)
        for place, weights in enumerate(shown):
            x = MARGIN + place % columns * cell
            y = top + above + place // columns * cell
            picture = _coloured(weights) if colours else _signed(weights, part)
            sheet.show(picture, x, y, TILE)
    return sheet


class Depth(NamedTuple):
    """A layer and its maps of one image, (channels, height, width)."""

    layer: Layer
    maps: Tensor


def depth_figure(
    depths: Sequence[Depth], picture: NDArray[np.uint8], name: str, title: str
) -> Sheet:
    """Draw the liveliest maps of each layer for a picture of the class called `name`."""
    cell, left = TILE + 0.1, 2.35
    width = MARGIN + left + MAPS * cell - 0.1 + MARGIN
    top = HEAD + 0.1 + TILE + 0.25
    sheet = Sheet(
        *(width, top + len(depths) * cell + 0.1),
        f"{title}: from the image to its class, layer by layer",
        f"Of each layer the {MAPS} maps that vary most; blue is above zero, vermilion below, "
        f"each in its own scale.",
    )
    sheet.show(picture, MARGIN + left, HEAD, TILE + 0.1)
    sheet.write("the image", MARGIN, HEAD + TILE / 2 - 0.1, points=9)
    sheet.write(name, MARGIN, HEAD + TILE / 2 + 0.1, within=left - 0.2, colour=BLUE)
    for row, (layer, maps) in enumerate(depths):
        y = top + row * cell
        words = left - 0.2
        sheet.write(layer.name, MARGIN, y + TILE / 2 - 0.1, points=9, within=words)
        size = f"{layer.channels:,} maps of {layer.width} x {layer.height}"
        sheet.write(size, MARGIN, y + TILE / 2 + 0.1, within=words, colour=FAINT)
        liveliest = maps.flatten(1).std(dim=1, correction=0).argsort(descending=True, stable=True)
        for column, channel in enumerate(liveliest[:MAPS].tolist()):
            tile = _signed(maps[channel][None].cpu().numpy(), 0)
            sheet.show(tile, MARGIN + left + column * cell, y, TILE)
    return sheet


class Example(NamedTuple):
    """An image whose class is explained."""

    picture: NDArray[np.uint8]
    true: str
    predicted: str
    confidence: float
    heat: Tensor
    """(H, W) where the predicted class was seen, 0 to 1."""
    heat_of_true: Tensor | None
    """The same of the true class, where it is another."""


def attribution_figure(examples: Sequence[Example], title: str, reading: str) -> Sheet:
    """Draw where classes were seen, first in images that are right, then in mistaken ones."""
    groups = [
        (words, [one for one in examples if (one.heat_of_true is None) == right])
        for words, right in (("right", True), ("mistaken", False))
    ]
    side, cell = 1.05, 1.25
    left = 1.2
    columns = max(len(group) for _, group in groups)
    heights = [(2 if right else 3) * (side + 0.1) + 0.62 for right in (True, False)]
    total = sum(h for h, (_, group) in zip(heights, groups, strict=True) if group)
    width = max(MARGIN + left + columns * cell - 0.2 + MARGIN, 6.5)
    sheet = Sheet(width, HEAD + total, title, reading)
    y = HEAD
    for (words, group), height in zip(groups, heights, strict=True):
        if not group:
            continue
        sheet.write(words, MARGIN, y + (0.22 if words == "right" else 0.05), points=10)
        named = ("the image", "why its class"), ("the image", "why the answer", "why the label")
        for row, label in enumerate(named[words != "right"]):
            sheet.write(label, MARGIN, y + 0.42 + side / 2 + row * (side + 0.1), colour=FAINT)
        for column, one in enumerate(group):
            _draw_example(sheet, one, MARGIN + left + column * cell, y, side)
        y += height
    return sheet


def _draw_example(sheet: Sheet, one: Example, x: float, y: float, side: float) -> None:
    right = one.heat_of_true is None
    share = percent(one.confidence)
    words = {"within": side + 0.12, "colour": BLUE if right else VERMILION}
    sheet.pair(one.predicted, share, x, y + 0.05 if not right else y + 0.22, **words)  # type: ignore[arg-type]
    if not right:
        sheet.write(f"is {one.true}", x, y + 0.22, within=side + 0.12, colour=BLUE)
    tiles = [one.picture, glowing(one.picture, one.heat, words["colour"])]  # type: ignore[arg-type]
    if one.heat_of_true is not None:
        tiles.append(glowing(one.picture, one.heat_of_true, BLUE))
    for row, tile in enumerate(tiles):
        sheet.show(tile, x, y + 0.36 + row * (side + 0.1), side)


def _signed(weights: NDArray[np.float32], channel: int) -> NDArray[np.uint8]:
    """Return one channel of weights (C, H, W) in the colours of what is above and below zero."""
    values = weights[channel]
    largest = max(float(np.abs(values).max()), 1e-12)
    coloured = np.asarray(RIGHT_OR_WRONG((values / largest + 1) / 2))
    found: NDArray[np.uint8] = (coloured[..., :3] * 255).round().astype(np.uint8)
    return found


def _coloured(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return weights (3, H, W) as a colour, gray where they are zero."""
    largest = max(float(np.abs(weights).max()), 1e-12)
    colours = (weights.transpose(1, 2, 0) / largest + 1) / 2
    found: NDArray[np.uint8] = (colours * 255).round().astype(np.uint8)
    return found
