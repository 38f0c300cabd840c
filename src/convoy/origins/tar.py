"""The members of a tar, one after another, with bounds on everything that it says about itself.

The standard library's reader trusts the lengths in a tar's own headers and fills the memory with
what they claim. Only its parser of single headers is used here.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from convoy.origins.member import Damaged, Member
from convoy.origins.origin import LARGEST

_BLOCK = tarfile.BLOCKSIZE
_LONGEST = 2**20
"""The bytes of the largest header that is read: names, attributes."""
_CHUNK = 2**20
_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}


def is_tar(head: bytes) -> bool:
    """Tell by a file's first 512 bytes whether it is an uncompressed tar."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        # Nothing but blocks of zeros is a tar too: one without members.
        return len(head) == _BLOCK and not head.strip(b"\0")
    return True


def members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of an uncompressed tar. Raises `Damaged`."""
    said: dict[str, str] = {}
    while True:
        block = stream.read(_BLOCK)
        if not block.strip(b"\0") and len(block) == _BLOCK:
            _drain(stream)
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            what = "its end is missing" if len(block) < _BLOCK else f"no tar goes on so: {error}"
            raise Damaged(what) from error
        if header.size < 0:
            raise Damaged("a member of less than 0 bytes")
        if header.type in _NAMES:
            text = _body(stream, header.size).rstrip(b"\0")
            said[_NAMES[header.type]] = text.decode("utf-8", "surrogateescape")
        elif header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            said |= _attributes(_body(stream, header.size))
        elif header.type == tarfile.XGLTYPE:
            _body(stream, header.size)
        else:
            yield _member(stream, block, header, said)
            said = {}


def _member(
    stream: BinaryIO, block: bytes, header: tarfile.TarInfo, said: dict[str, str]
) -> Member:
    name = said.get("path", header.name)
    size = int(said["size"]) if said.get("size", "").isdecimal() else header.size
    if header.type == tarfile.LNKTYPE:
        return Member(name, "hard link", target=said.get("linkpath", header.linkname))
    if header.type == tarfile.SYMTYPE:
        return Member(name, "link", target=said.get("linkpath", header.linkname))
    if header.isdev():
        return Member(name, "device")
    if header.type == tarfile.GNUTYPE_SPARSE:
        _skip_holes(stream, more=bool(block[482]))
    content = None
    if header.type in _FILES and size <= LARGEST:
        content = _exactly(stream, size)
    else:
        _skip(stream, size)
    _skip(stream, -size % _BLOCK)
    if header.type == tarfile.DIRTYPE:
        return Member(name, "folder")
    if header.type not in _FILES or any(key.startswith("GNU.sparse") for key in said):
        return Member(name, "special file", size)
    return Member(name, "file", size, content)


def _skip_holes(stream: BinaryIO, more: bool) -> None:
    """Skip the blocks that list the holes of a sparse file; each says whether another follows."""
    while more:
        more = bool(_exactly(stream, _BLOCK)[504])


def _attributes(body: bytes) -> dict[str, str]:
    """Return the records `length key=value` of an extended header."""
    found, at = {}, 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + 10)
        length = body[at:space] if space > 0 else b""
        if not length.isdigit() or not space + 1 < at + int(length) <= len(body):
            raise Damaged("an extended header that is none")
        key, _, value = body[space + 1 : at + int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += int(length)
    return found


def _body(stream: BinaryIO, size: int) -> bytes:
    if size > _LONGEST:
        raise Damaged(f"a header of {size:,} bytes")
    body = _exactly(stream, size)
    _skip(stream, -size % _BLOCK)
    return body


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise Damaged("its end is missing")
    return content


def _skip(stream: BinaryIO, size: int) -> None:
    while size > 0:
        size -= len(_exactly(stream, min(size, _CHUNK)))


def _drain(stream: BinaryIO) -> None:
    """Read what follows the end: compressed streams check their sums only there."""
    while stream.read(_CHUNK):
        pass
