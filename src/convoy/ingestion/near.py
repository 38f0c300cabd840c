"""Near-duplicates: recompressed, resized, brightened or noisy copies of one photograph.

An image is told by the low frequencies of its gray values (the idea of perceptual hashing: Zauner
2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2), kept as
numbers and not as bits, so that two of them have a correlation. One threshold serves photographs
and drawings: a drawing that fills a fifth of its image leaves little to tell it by, and two
different ones are as alike as copies of a photograph, so it must be that much more alike.

Whether two images are near-duplicates follows from the two alone. What else a dataset holds does
not part them, and so moves no image from test to train, unless so many lie so near that not all
can be compared (`WINDOW`).
"""

from collections.abc import Iterator, Sequence
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

CELLS = 16
FREQUENCIES = 8
SIZE = FREQUENCIES**2
"""Numbers of a signature."""
LEVELS = 16
"""The steps that a gray level is kept in: whole numbers have the same sum in any order."""
TABLES = 11
"""The grids that candidates come from: a prime, so that their lines lie apart in each number."""
WIDTH = 2.5
"""A grid's width, in distances of the two least alike near-duplicates."""
WINDOW = 32
"""Neighbours of a cell that an image is compared with."""
_PIXELS = 2**19
_PAIRS = 2**14
_MIXER = 0x9E3779B97F4A7C1
_SQUARES = np.arange(FREQUENCIES) ** 2
# Low frequencies tell images apart best and suffer least: these decide who is compared with whom.
_KEYS = np.argsort(np.add.outer(_SQUARES, _SQUARES).ravel(), kind="stable")[1:21]


def signatures(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return (N, 64) for images (N, H, W, C): what tells each of them, whatever processor asks.

    The first number is the image's detail, 0 to 127: the share of it that stands out from its
    median gray. The others are the 8 x 8 lowest frequencies of its DCT without the mean, row by
    row, as a vector of length 127. An image whose gray values deviate by less than one level has
    nothing to tell it by: all are zero.
    """
    count, height, width, channels = images.shape
    across = _overlaps(width).repeat(channels, axis=1).T
    cosines = _cosines()
    found = np.zeros((count, SIZE), np.int8)
    batch = max(1, _PIXELS // (height * width))
    for start in range(0, count, batch):
        some = images[start : start + batch]
        rows = _rows(some.reshape(len(some), height, -1))
        cells = np.rint(rows @ across * LEVELS / (height * width * channels))
        waves = (cosines @ cells @ cosines.T).reshape(len(cells), -1)
        cells = cells.reshape(len(cells), -1)
        middle = CELLS**2 // 2
        apart = np.abs(cells - np.partition(cells, middle)[:, middle, None])
        squares = (apart * apart).sum(axis=1)
        detail = apart.sum(axis=1) ** 2 / np.maximum(squares, 1) / CELLS**2
        # Rounded to 24 bits, so that the squares below have an exact sum too.
        waves = np.rint(waves[:, 1:] / 2**11)
        length = np.sqrt((waves * waves).sum(axis=1))
        told = found[start : start + batch]
        told[:, 0] = np.rint(127 * detail)
        told[:, 1:] = np.rint(127 * waves / np.maximum(length, 1)[:, None])
        told[squares < (CELLS * LEVELS) ** 2] = 0
    return found


def _rows(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (N, 16, W) sums of the rows of each cell, in sixteenths, for (N, H, W)."""
    count, height, width = images.shape
    if height % CELLS == 0:  # no row lies in two cells: the same numbers, several times as fast
        cells = images.reshape(count, CELLS, height // CELLS, width)
        rows = cells.sum(axis=2, dtype=np.uint32) * float(CELLS)
    else:  # whole numbers below 2**24 up to 65,000 pixels a side: exact in float32, and faster
        rows = _overlaps(height).astype(np.float32) @ images.astype(np.float32)
    sums: NDArray[np.float64] = rows.astype(np.float64, copy=False)
    return sums


def _overlaps(length: int) -> NDArray[np.float64]:
    """Return (16, length): how much of each pixel lies in each cell, in sixteenths of a pixel."""
    cell = np.arange(CELLS)[:, None] * length
    pixel = np.arange(length) * CELLS
    shared: NDArray[np.float64] = np.minimum(cell + length, pixel + CELLS) - np.maximum(cell, pixel)
    return np.maximum(shared, 0.0)


def _cosines() -> NDArray[np.float64]:
    """Return (8, 16): the DCT-II's lowest frequencies, times 128 and rounded to whole numbers."""
    place = (2 * np.arange(CELLS) + 1) / (2 * CELLS)
    scale = np.where(np.arange(FREQUENCIES) == 0, np.sqrt(0.5), 1.0)[:, None]
    angles = np.pi * np.arange(FREQUENCIES)[:, None] * place
    rounded: NDArray[np.float64] = np.rint(128 * scale * np.cos(angles))
    return rounded


def pairs(signatures: NDArray[np.int8], similarity: float) -> NDArray[np.int64]:
    """Return (M, 2) rows, the lower first and in order: the near-duplicates among (N, 64).

    Two images are near-duplicates where their frequencies correlate by 1 - (1 - `similarity`) d²
    or more, for the lesser d of their details (0 to 1).

    Only images that share a cell of one of several grids are compared (locality-sensitive
    hashing: Datar et al. 2004), each with at most `WINDOW` neighbours of a cell.
    """
    count = len(signatures)
    told = np.flatnonzero(signatures.any(axis=1))
    # In the order of the signatures, a full cell has the same neighbours however images came.
    told = told[np.lexsort(signatures[told].T[::-1])]
    waves = signatures[told, 1:]
    squares = np.einsum("ij,ij->i", waves, waves, dtype=np.float64)
    reach = (1 - similarity) * (signatures[told, 0] / 127) ** 2

    def alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
        # Whole numbers below 2**24: exact in float32, and faster than as integers.
        product = np.einsum("ij,ij->i", waves[one], waves[other], dtype=np.float32)
        least = 1 - np.minimum(reach[one], reach[other])
        near = product >= least * np.sqrt(squares[one] * squares[other])
        first, second = told[one[near]], told[other[near]]
        pair: NDArray[np.int64] = np.minimum(first, second) * count + np.maximum(first, second)
        return pair

    found = np.empty(0, np.int64)
    for cell in _cells(signatures[told], similarity):
        # np.unique takes minutes over millions of pairs that lie close together (numpy 2.4).
        found = np.sort(np.concatenate([found, *starmap(alike, _neighbours(cell))]))
        found = found[np.diff(found, prepend=-1) > 0]
    return np.stack(np.divmod(found, max(count, 1)), axis=1)


def _cells(signatures: NDArray[np.int8], similarity: float) -> Iterator[NDArray[np.int64]]:
    """Yield (N,) for each grid: the cell that each signature lies in."""
    detail = np.log2(np.maximum(signatures[:, 0], 1))
    waves = signatures[:, _KEYS]
    for table in range(TABLES):
        # Two copies differ a little in detail too, so each grid cuts it elsewhere.
        cell = level = np.floor(2 * detail + table / TABLES).astype(np.int64)
        farthest = np.sqrt(2 * (1 - similarity)) * 2 ** (level / 2)
        # One more, because both were rounded.
        width = np.rint(WIDTH * (farthest + 1)).astype(np.int64)
        for place in range(len(_KEYS)):
            shift = table * (place % (TABLES - 1) + 1) % TABLES
            cell = cell * _MIXER + (waves[:, place] + width * shift // TABLES) // width
        yield cell


def _neighbours(
    cell: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows that share a cell, a bounded number at a time."""
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    for step in range(1, WINDOW + 1):
        same = np.flatnonzero(cell[step:] == cell[:-step])
        if not len(same):
            break
        for start in range(0, len(same), _PAIRS):
            some = same[start : start + _PAIRS]
            yield order[some], order[some + step]


def groups(count: int, pairs: NDArray[np.int64], names: Sequence[str | None]) -> NDArray[np.int64]:
    """Return (`count`,): the lowest row of each row's group.

    Rows of a pair are of one group, and so are rows of one name that is not None.
    """
    first: dict[str, int] = {}
    named = [
        (first.setdefault(name, row), row) for row, name in enumerate(names) if name is not None
    ]
    one, other = np.concatenate([pairs, np.array(named, np.int64).reshape(-1, 2)]).T
    lowest = np.arange(count)
    while (lowest[one] != lowest[other]).any():
        reached = np.minimum(lowest[one], lowest[other])
        np.minimum.at(lowest, lowest[one], reached)
        np.minimum.at(lowest, lowest[other], reached)
        while (lowest != lowest[lowest]).any():
            lowest = lowest[lowest]
    return lowest
