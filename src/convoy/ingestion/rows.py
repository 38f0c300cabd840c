"""One image of a dataset, as ingestion knows it."""

from typing import NamedTuple

from convoy.splits import Split


class Row(NamedTuple):
    """A decoded image with where it came from. Digests are bytes: half the memory of text."""

    path: str
    label: str
    content: bytes
    """Which image it is, 32 bytes (`convoy.content`): the same by any road has the same."""
    file: bytes
    """sha256 of the encoded file (32 bytes), empty where the source gives pixels."""
    width: int
    height: int
    split: Split | None
    """The official split, where the source has one."""
    group: str | None
    """Images of one group come into one split."""
