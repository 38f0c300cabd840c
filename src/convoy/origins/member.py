"""The record of one entry in an archive, whatever the kind of archive."""

from typing import Literal, NamedTuple


class Damaged(ValueError):
    """Bytes that no archive of that kind has."""


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    """As the archive has it: it may be absolute, lead out, or hold any character."""
    kind: Literal["file", "folder", "hard link", "link", "device", "special file"]
    """A special file: one with holes, or of a kind that only some programs know."""
    size: int = 0
    content: bytes | None = None
    """The bytes of a file; None where they are more than `LARGEST`, and for all that is no file."""
    target: str = ""
    """Where a link leads."""
