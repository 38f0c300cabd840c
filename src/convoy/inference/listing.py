"""Which image files are meant by paths."""

from collections.abc import Iterable
from pathlib import Path

from convoy.errors import DataRefused


def image_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are named, and those in the folders that are named, in order."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.is_file())
            files.extend(p for p in inside if not p.name.startswith("."))
        else:
            files.append(path)
    if not files:
        raise DataRefused("there is no image in what was named: give files, or a folder of them.")
    return files
