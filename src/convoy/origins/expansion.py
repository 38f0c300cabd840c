"""Bounds on what an archive may grow to, counted on the bytes that really come out of it."""

import io
from typing import BinaryIO

from convoy.errors import DataRefused

RATIO = 200
"""How many times its own size an archive may hold, beyond `HARMLESS`."""
HARMLESS = 100_000_000
MEMBERS = 1_000_000


class Expansion:
    """What has come out of one archive of `size` bytes; `free` is the disk that it may half fill.

    Raises `DataRefused` as soon as a bound is passed, whatever the archive says about itself.
    """

    def __init__(self, archive: str, size: int, free: int) -> None:
        self._archive = archive
        self._bomb = max(HARMLESS, RATIO * size)
        self._room = free // 2
        self._bytes = 0
        self._members = 0

    def add(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._bomb:
            raise DataRefused(
                f"{self._archive} expands to more than {self._bomb:,} bytes, {RATIO} times its "
                f"size, as archives do that are made to fill disks: unpack it yourself and name "
                f"the folder if you trust it."
            )
        if self._bytes > self._room:
            raise DataRefused(
                f"{self._archive} expands to more than {self._room:,} bytes, half of what is free "
                f"on the disk: make room and run again."
            )

    def add_member(self) -> None:
        self._members += 1
        if self._members > MEMBERS:
            raise DataRefused(
                f"{self._archive} has more than {MEMBERS:,} members: split it into several."
            )


class Counted(io.RawIOBase):
    """A stream that tells an expansion about each byte that is read of it."""

    def __init__(self, stream: BinaryIO, expansion: Expansion) -> None:
        self._stream = stream
        self._expansion = expansion

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        assert isinstance(buffer, memoryview)
        content = self._stream.read(len(buffer))
        self._expansion.add(len(content))
        buffer[: len(content)] = content
        return len(content)
