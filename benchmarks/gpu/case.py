"""What every case is told, and what it may answer beside rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.rows import Row


@dataclass(frozen=True)
class Wanted:
    """What is asked for on the command line."""

    device: torch.device
    quick: bool
    """As little as shows that it works."""
    compiled: bool
    """Also measure networks that `torch.compile` has compiled."""
    architectures: tuple[str, ...]
    """The only ones to measure; all of a case's own where there are none."""
    data: Path
    """Images `train/<class>/*.jpg` and `test/<class>/*.jpg`, in a folder or an archive."""

    def bound(self, value: float) -> float | None:
        """Return a bound that is one of a GPU's."""
        return value if self.device.type == "cuda" else None

    def only(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of a case's architectures that are asked for."""
        return tuple(name for name in names if name in (self.architectures or names))


class Skipped(NamedTuple):
    """What could not be measured."""

    name: str
    reason: str


Case = Callable[[Wanted, Path], Iterator[Row | Skipped]]
"""Measures, with a folder of its own to write to."""
