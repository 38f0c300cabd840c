"""A zip or tar as an origin: its members stream into the packs, and nothing is ever unpacked.

No file is made under a member's name, so none can land outside. An archive whose names try to is
refused as a whole all the same: it is an attack, or broken.
"""

import bz2
import gzip
import io
import lzma
import os
import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from convoy.errors import ConvoyError, DataRefused
from convoy.findings import Finding
from convoy.origins import local, names, tar, zipped
from convoy.origins.expansion import Counted, Expansion
from convoy.origins.member import Member
from convoy.origins.origin import File, quarantined, too_large
from convoy.packs import Packs

_COMPRESSIONS: dict[bytes, Callable[[BinaryIO], object]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
HEAD = 512
"""The bytes by which an archive is known."""
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_DAMAGES = (ValueError, zlib.error, lzma.LZMAError, EOFError, OSError)
_HOPS = 40
"""How many links may lead to one another, as in Linux."""
_MEND = "make the archive anew"


def is_archive(head: bytes) -> bool:
    """Tell by a file's first `HEAD` bytes whether it is an archive that can be read."""
    compressed = any(head.startswith(magic) for magic in _COMPRESSIONS)
    return compressed or zipped.is_zip(head) or tar.is_tar(head)


def scan(path: str, shown: str, packs: Packs) -> Iterator[File | Finding]:
    """Yield the files of an archive, their bytes in `packs`, and what it holds besides.

    `shown` names the archive in messages. Raises `DataRefused` for an archive that is damaged,
    encrypted, larger than it may be, or that names places outside.
    """
    with Path(path).open("rb") as stream:
        before = local.stamp(os.fstat(stream.fileno()))
        yield from _Contents(shown, packs).files(_members(stream, shown, packs))
        if local.stamp(Path(path).stat()) != before:
            raise ConvoyError(f"{shown} changed while it was read: run again when it is complete.")


def _members(stream: BinaryIO, shown: str, packs: Packs) -> Iterator[Member]:
    expansion = Expansion(shown, os.fstat(stream.fileno()).st_size, packs.free())
    name = ""
    try:
        head = stream.read(HEAD)
        stream.seek(0)
        if zipped.is_zip(head):
            found = zipped.members(stream, shown, expansion)
        else:
            opened = [of for magic, of in _COMPRESSIONS.items() if head.startswith(magic)]
            plain = cast(BinaryIO, opened[0](stream)) if opened else stream
            found = tar.members(io.BufferedReader(Counted(plain, expansion), 2**20))
        for member in found:
            name = member.name
            expansion.add_member()
            yield member
    except _DAMAGES as error:
        where = f" after {names.printable(name)!r}" if name else ""
        raise DataRefused(f"{shown} is damaged{where} ({error}): {_MEND}.") from error


class _Contents:
    """What the members of one archive come to: files, links between them, names that came twice."""

    def __init__(self, shown: str, packs: Packs) -> None:
        self._shown = shown
        self._packs = packs
        self._kept: dict[str, File] = {}
        self._links: dict[str, str] = {}
        self._hidden: Counter[str] = Counter()
        self._folders: set[str] = set()

    def files(self, members: Iterable[Member]) -> Iterator[File | Finding]:
        for member in members:
            path = self._inside(member.name)
            if found := self._file(path, member):
                if isinstance(found, File):
                    self._kept[path] = found
                yield found
        for path, target in self._links.items():
            yield self._linked(path, target)
        for folder, count in self._hidden.items():
            yield names.hidden(folder, count)
        yield from self._empty()

    def _inside(self, name: str) -> str:
        """Return a path below the archive's root. Raises `DataRefused` for one that is not."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if _ABSOLUTE.match(name) or ".." in parts:
            raise self._leads_out(name)
        return "/".join(parts)

    def _leads_out(self, name: str) -> DataRefused:
        return DataRefused(
            f"{self._shown}: its member {names.printable(name)!r} leads out of the archive, as no "
            f"honest one does: {_MEND} from a folder, or do not use it."
        )

    def _file(self, path: str, member: Member) -> File | Finding | None:
        if member.kind == "folder":
            self._folders.add(path)
            return None
        if member.kind == "device":
            raise DataRefused(
                f"{self._shown}: its member {names.printable(path)!r} is a device or a pipe, "
                f"which no honest archive of images holds: {_MEND} without it."
            )
        target = ""
        if member.kind in ("link", "hard link"):
            folder = posixpath.dirname(path) if member.kind == "link" else ""
            target = posixpath.normpath(posixpath.join(folder, member.target))
            if _ABSOLUTE.match(member.target) or target.split("/")[0] == "..":
                raise self._leads_out(path)
        hidden = names.hidden_folder(posixpath.dirname(path))
        if hidden:
            self._hidden[hidden] += 1
            return None
        if names.is_hidden(posixpath.basename(path)):
            return names.hidden(path)
        if problem := names.bad_name(path):
            return problem
        if path in self._kept or path in self._links:
            reason = "a name that the archive has already"
            return quarantined("same-name", path, reason, "rename one of them")
        if target:
            self._links[path] = target
            return None
        if member.kind == "special file":
            reason = "a file with holes or of a special kind"
            return quarantined("not-a-file", path, reason, "pack the archive with plain `tar`")
        if member.content is None:
            return too_large(path, member.size)
        return File("", path, self._packs.keep(member.content), member.size)

    def _linked(self, path: str, target: str) -> File | Finding:
        for _ in range(_HOPS):
            target = self._links.get(target, target)
        if target in self._kept:
            return self._kept[target]._replace(path=path)
        reason = f"a link to {names.printable(target)!r}, which is no file of the archive"
        return quarantined("link-broken", path, reason, "put the file itself there")

    def _empty(self) -> Iterator[Finding]:
        full = {""}
        for path in (*self._kept, *self._links):
            while (path := posixpath.dirname(path)) not in full:
                full.add(path)
        for folder in sorted(self._folders - full):
            if posixpath.dirname(folder) in full and not names.hidden_folder(folder):
                yield names.empty_folder(folder)
