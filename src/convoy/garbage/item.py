"""One thing that nothing leads to."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

Kind = Literal["data", "training", "copy", "run", "version", "model", "files"]
"""Objects of DVC's cache; a training's folder; a copy that `convoy predict` made; a run in MLflow;
the files of a registered version; a model that no version has; files that MLflow has lost sight of.
"""
DAY = 86_400.0


@dataclass(frozen=True)
class Item:
    """What it is, how much it takes, and why it may go."""

    kind: Kind
    name: str
    files: int
    size: int
    """Bytes."""
    why: str
    places: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """What is removed, in this order: paths, ids or addresses, as its kind has them."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("kind", "name", "files", "size", "why")}


def files_below(folder: Path) -> tuple[int, int]:
    """Return how many files are in a folder, and their bytes; (0, 0) where there is none."""
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    return len(sizes), sum(sizes)


def is_young(since: float, days: float) -> bool:
    """Tell whether something is younger than so many days; `since` in seconds since 1970."""
    return time.time() - since < days * DAY


def newest(folder: Path) -> float:
    """Return when the newest file came into a folder, in seconds since 1970.

    Not when one went: what a removal has left is as old as it was.
    """
    times = [path.lstat().st_ctime for path in folder.rglob("*") if not path.is_dir()]
    return max(times, default=folder.lstat().st_ctime)


def path_of(address: str) -> Path:
    """Return the path that a `file:` address is of."""
    return Path(url2pathname(urlsplit(address).path))
