"""Files that are known before they come: what they are told by, and how they appear."""

import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple

from convoy import digests

CHUNK = 2**20
LARGEST = 2**36
"""Bytes of a file whose size nobody has said."""


class Bytes(NamedTuple):
    """Bytes that are known before they come."""

    size: int
    sha256: str


class File(NamedTuple):
    """A file that somebody published."""

    name: str
    published: Bytes | None = None
    """Its bytes; None where nobody has said."""
    content: Bytes | None = None
    """What a gzip file holds: a copy that was compressed anew is as good."""

    @property
    def size(self) -> int | None:
        """Its size in bytes, where it has but one."""
        return self.published.size if self.published and not self.content else None

    @property
    def largest(self) -> int:
        """The bytes that any form of it has at most."""
        return max(
            (known.size for known in (self.published, self.content) if known), default=LARGEST
        )

    def size_fault(self, size: int) -> str | None:
        """Return what is wrong with a form of so many bytes; None where that may be."""
        if size == self.size or (self.size is None and size <= self.largest):
            return None
        return f"{size:,} bytes instead of {'' if self.size else 'at most '}{self.largest:,}"

    def fault(self, path: Path) -> str | None:
        """Return what tells the file at `path` from this one; None where nothing does."""
        if fault := self.size_fault(path.stat().st_size):
            return fault
        if self.published is None or (found := digests.file(path)) == self.published.sha256:
            return None
        if self.content and _unpacked(path, self.content.size) == self.content:
            return None
        return f"the sha256 {found[:16]}... instead of {self.published.sha256[:16]}..."


def publish(draft: Path, target: Path) -> None:
    """Move a finished file to `target`, which holds the old bytes or the new ones, never a mix."""
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())
    if draft.stat().st_dev != target.parent.stat().st_dev:
        # Only within a file system is a move a single step.
        near = target.with_name(f".{target.name}.draft")
        shutil.copyfile(draft, near)
        publish(near, target)
        draft.unlink()
        return
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unpacked(path: Path, most: int) -> Bytes | None:
    """Return what a gzip file holds, read little further than `most` bytes; None for no gzip."""
    digest, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as stream:
            while size <= most and (chunk := stream.read(CHUNK)):
                digest.update(chunk)
                size += len(chunk)
    except (OSError, EOFError, zlib.error):
        return None
    return Bytes(size, digest.hexdigest())
