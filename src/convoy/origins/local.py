"""Files of this machine: told apart by size, time and inode, read only while they hold still."""

import os
import time
from stat import S_ISREG

from convoy.findings import Finding
from convoy.origins.names import printable
from convoy.origins.origin import LARGEST, quarantined

_SETTLED = 2 * 10**9
"""Nanoseconds after which a second change is sure to have another time, on FAT too."""


class ChangesWhileReading(OSError):
    """A file that somebody writes to while it is read."""


class NotAFile(OSError):
    """A pipe, a device, a socket or a folder where a file was expected."""


def stamp(status: os.stat_result) -> str:
    """Return the text that changes when a file's bytes do."""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"


def sure_stamp(status: os.stat_result) -> str:
    """Return the stamp of a file, empty if a change right now might leave it the same."""
    settled = time.time_ns() - status.st_mtime_ns > _SETTLED
    return stamp(status) if settled else ""


def read(path: str) -> tuple[bytes, str]:
    """Return a file's bytes and their sure stamp.

    A file that changes meanwhile is read once more. Raises `OSError`, of which
    `ChangesWhileReading` if it changed again.
    """
    try:
        return _read(path)
    except ChangesWhileReading:
        return _read(path)


def unreadable(path: str, error: OSError) -> Finding:
    """Return the finding about a file or folder that could not be read, as `path` names it."""
    path = printable(path)
    match error:
        case PermissionError():
            return quarantined("no-permission", path, "may not be read", "allow reading it")
        case FileNotFoundError():
            return quarantined("vanished", path, "was listed and is gone", "run again")
        case ChangesWhileReading():
            reason = "changes while it is read"
            return quarantined("changes-while-reading", path, reason, "run again when it is done")
        case NotAFile():
            reason = "a pipe, a device, a socket or a folder, not a file"
            return quarantined("not-a-file", path, reason, "remove it")
    reason = f"cannot be read ({error.strerror or type(error).__name__})"
    return quarantined("unreadable", path, reason, "check the disk, or remove it")


def _read(path: str) -> tuple[bytes, str]:
    # Without O_NONBLOCK, a pipe that took the file's place since it was listed would hang us.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(descriptor)
        if not S_ISREG(before.st_mode):
            raise NotAFile
        content = _whole(descriptor, min(before.st_size, LARGEST) + 1)
        if len(content) != before.st_size or stamp(os.fstat(descriptor)) != stamp(before):
            raise ChangesWhileReading
        return content, sure_stamp(before)
    finally:
        os.close(descriptor)


def _whole(descriptor: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(descriptor, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
