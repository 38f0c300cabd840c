"""Which split each image comes into.

An official val or test split is kept. Every other image falls where its content says, so that the
order of the files and the luck of a draw have no part in it:

- The images of one group (near-duplicates, copies, equal names) fall together, where the lowest of
  them falls. Test lies lowest, so that images that come later can draw others from train into val
  or test, and never the other way.
- A named group falls by its name and not by its content: of a hundred photographs of a person one
  lies low almost surely, and test would get far more than its share.
- A split that the source has is not filled up: official train gives images to val where there is
  no official val, and to test where there is no official test. An image without a split, in a
  source that gives splits to others, counts as one of train.

Only an official val or test that comes in later takes an image back into train: it replaces ours.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convoy.ingestion.near import groups
from convoy.ingestion.rows import Row
from convoy.settings import Dataset
from convoy.splits import Split, at, position

_FIXED: tuple[Split, ...] = ("val", "test")


def assign(
    rows: Sequence[Row], kept: Sequence[int], near: NDArray[np.int64], dataset: Dataset
) -> list[Split]:
    """Return the split of each of the `kept` rows. `near` holds near-duplicate rows, (M, 2).

    Rows that are left out take part in the groups all the same, so that what they bind together
    stays together once they are left out.
    """
    first: dict[bytes, int] = {}
    copies = [(first.setdefault(row.content, number), number) for number, row in enumerate(rows)]
    bonds = np.concatenate([near, np.array(copies, np.int64).reshape(-1, 2)])
    group = groups(len(rows), bonds, [row.group for row in rows])
    # What stays where it is draws nothing along.
    places = [1.0 if row.split in _FIXED else position(_seed(row)) for row in rows]
    lowest = np.ones(len(rows))
    np.minimum.at(lowest, group, places)
    lowest_of = lowest[group].tolist()
    official = {row.split for row in rows}
    val = 0.0 if "val" in official else dataset.val
    test = 0.0 if "test" in official else dataset.test
    return [
        split if (split := rows[row].split) in _FIXED else at(lowest_of[row], val, test)
        for row in kept
    ]


def _seed(row: Row) -> bytes:
    return row.content if row.group is None else hashlib.sha256(row.group.encode()).digest()
