"""The records of an origin: a place that holds image files, a folder or an archive, say."""

from collections.abc import Callable
from typing import NamedTuple

from convoy.findings import Finding

LARGEST = 512 * 2**20
"""The bytes of the largest file that is looked at; images are far smaller."""


class Item(NamedTuple):
    """A file at an origin that has not been read yet."""

    path: str
    """Where it stands in the origin, with `/` between folders."""
    size: int
    stamp: str
    """A text that changes when the bytes do: size and time, or a server's word; empty: unknown."""
    read: Callable[[], tuple[bytes, str]]
    """Return the bytes, and the stamp that they had. Raises `OSError`."""
    label: str = ""
    split: str = ""
    group: str = ""
    late: bool = False
    """Its origin answers late: it is asked for before it is needed."""


class File(NamedTuple):
    """A file of an origin whose bytes are kept; the columns of `rows/*.csv`."""

    origin: str
    """The origin's name, where it is not a dataset's first; else empty."""
    path: str
    digest: bytes
    """sha256 of the bytes (32 bytes)."""
    size: int
    label: str = ""
    """What a table says; empty where the path says it. The same for `split` and `group`."""
    split: str = ""
    group: str = ""


def quarantined(rule: str, path: str, reason: str, mend: str) -> Finding:
    return Finding("quarantined", rule, path, reason, mend)


def too_large(path: str, size: int) -> Finding:
    return quarantined(
        "too-large-file",
        path,
        f"{size:,} bytes, more than the {LARGEST:,} that are read of a file",
        "remove it, or save the image smaller",
    )
