"""Where images come from. The folder is the registry: a new source is one file with a `SOURCE`."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from convoy.errors import UsageError, nearest

if TYPE_CHECKING:
    from convoy.sources.source import Source


def names() -> tuple[str, ...]:
    """Return the names of all sources, importing none."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(file.stem for file in files if file.stem not in ("__init__", "source")))


def describe(name: str) -> "Source":
    """Return one source. Raises `UsageError` with the nearest name."""
    if name not in names():
        raise UsageError(f"unknown source {name!r} in params.yaml: {nearest(name, names())}")
    found: Source = import_module(f"convoy.sources.{name}").SOURCE
    return found
