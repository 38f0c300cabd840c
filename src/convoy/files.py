"""Writing that a crash cannot leave half done."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def draft(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write into, until `settle` gives it that name, or another.

    It is gone afterwards where nobody has settled it.
    """
    place = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with place.open("wb") as stream:
            yield stream
    finally:
        place.unlink(missing_ok=True)


def settle(stream: BinaryIO, path: Path) -> None:
    """Give a draft its name, with all its bytes on the disk: a reader sees a whole file or none."""
    stream.flush()
    os.fsync(stream.fileno())
    Path(stream.name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` as a whole: a reader sees the old bytes or the new ones, never a mix."""
    with draft(path) as stream:
        stream.write(content)
        settle(stream, path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically, readable by people."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any | None:
    """Return a file's JSON value; None where there is no file, or one that was cut off."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
