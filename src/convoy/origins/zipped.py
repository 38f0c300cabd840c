"""The members of a zip, in the order of its directory."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from convoy.errors import DataRefused
from convoy.origins.expansion import Expansion
from convoy.origins.member import Damaged, Member
from convoy.origins.origin import LARGEST

_ENCRYPTED = 0x1
# What the standard library raises for bytes that somebody altered.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


def is_zip(head: bytes) -> bool:
    """Tell by a file's first bytes whether it is a zip, an empty one too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def members(stream: BinaryIO, shown: str, expansion: Expansion) -> Iterator[Member]:
    """Yield the members of a zip. Raises `Damaged`, and `DataRefused` for an encrypted one.

    `expansion` learns of each byte that comes out, whatever the directory says about sizes.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except _DAMAGES as error:
        raise Damaged(f"no directory of its members: {error}") from error
    for entry in archive.infolist():
        # The library cuts a name at its first NUL; some programs of Windows write backslashes.
        name = entry.orig_filename.replace("\\", "/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & _ENCRYPTED:
            raise DataRefused(
                f"{shown} is encrypted ({name!r}): unpack it and pack it without a password."
            )
        if name.endswith("/") or kind == stat.S_IFDIR:
            yield Member(name, "folder")
        elif entry.file_size > LARGEST:
            yield Member(name, "file", entry.file_size)
        elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK):
            yield Member(name, "device")
        else:
            content = _content(archive, entry)
            expansion.add(len(content))
            if kind == stat.S_IFLNK:
                yield Member(name, "link", target=content.decode("utf-8", "surrogateescape"))
            else:
                yield Member(name, "file", len(content), content)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as stream:
            # The directory may lie about the size: read no more than what it says.
            return stream.read(entry.file_size + 1)
    except _DAMAGES as error:
        raise Damaged(f"{entry.filename!r}: {error}") from error
