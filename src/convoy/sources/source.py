"""The record that one source file offers: how images come in, and how they are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LabelledImage(NamedTuple):
    """One image as it came in."""

    path: str
    """Where in the source it stands, for people: a file's name, a row."""
    image: NDArray[np.uint8]
    """(H, W, C), 0 to 255."""
    label: str


@dataclass(frozen=True)
class Source:
    """`fetch` writes what came in, byte for byte, to data/raw/<dataset>; `read` yields from there.

    `read` raises `DataRefused` for bytes that are not what the source promises.
    """

    fetch: Callable[[Path], None]
    read: Callable[[Path], Iterator[LabelledImage]]
