"""The original bytes of files, each content once, in plain tar files that are only ever added to.

A pack is an uncompressed tar of up to 64 MiB whose members are named by the sha256 of their bytes.
Reading needs no tar: the bytes begin at a known offset. So a dataset of a million small files is a
few files to a version control, and one that grows leaves the packs that it has as they are.
A pack's name is a digest of its members' names: equal contents in one order make equal packs.
"""

import errno
import hashlib
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from convoy.errors import ConvoyError, DataRefused

FULL = 64 * 2**20
"""The bytes that a pack holds at most, but for a larger file, which has a pack of its own."""
SMALL_PACKS = 8
"""How many packs less than half full may lie there before they are merged."""
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_DRAFT = ".draft"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Place(NamedTuple):
    """Where the bytes of one content lie."""

    pack: str
    offset: int
    size: int


def read(folder: Path, digest: bytes, place: Place) -> bytes:
    """Return the bytes at a place; any thread may. Raises `DataRefused` if they are not `digest`'s.

    `folder` is the one of the packs, `digest` the sha256 of the bytes.
    """
    path = folder / f"{place.pack}.tar"
    mend = "delete it and run again to have its files brought anew"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, place.size, place.offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataRefused(f"cannot read {path} ({error.strerror}): {mend}.") from error
    if hashlib.sha256(content).digest() != digest:
        raise DataRefused(f"{path} is damaged at byte {place.offset}: {mend}.")
    return content


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Raise `ConvoyError` where something cannot be written to `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            raise ConvoyError(
                f"the disk of {folder} is full: make room and run again; what was there is whole."
            ) from error
        raise ConvoyError(f"cannot write to {folder} ({error.strerror}): allow it.") from error


class Packs:
    """The packs of one folder, while files are added. To be used in a `with`.

    `places` are the contents that the folder is known to hold. Packs that are cut off or gone do
    not count; whole ones that nobody knows of, left by a process that was killed, do. What is there
    never changes before `remove_others`; raises `ConvoyError` when the disk is full.
    """

    def __init__(self, folder: Path, places: Mapping[bytes, Place]) -> None:
        self._folder = folder
        self._draft: _Draft | None = None
        with written(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{_DRAFT}"):
            left.unlink()
        sizes = {path.stem: path.stat().st_size for path in folder.glob("*.tar")}
        listed = {place.pack for place in places.values()}
        needed = Counter[str]()
        for place in places.values():
            needed[place.pack] = max(needed[place.pack], place.offset + place.size)
        whole = {pack for pack in listed if sizes.get(pack, 0) >= needed[pack] + len(_END)}
        self.places = {digest: place for digest, place in places.items() if place.pack in whole}
        for pack in sorted(sizes.keys() - listed):
            for digest, place in _members(folder / f"{pack}.tar").items():
                self.places.setdefault(digest, place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._draft:
            self._draft.discard()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self.places or (self._draft is not None and digest in self._draft.places)

    def free(self) -> int:
        """Return the bytes that are free on the disk of the packs."""
        return shutil.disk_usage(self._folder).free

    def keep(self, content: bytes) -> bytes:
        """Add `content` unless it is there; return its sha256."""
        digest = hashlib.sha256(content).digest()
        if digest not in self:
            self._append(digest, content)
        return digest

    def seal(self) -> None:
        """Finish the pack that is being written: from here on it survives a crash."""
        if self._draft:
            try:
                with written(self._folder):
                    self.places.update(self._draft.finish())
            finally:
                self._draft.discard()
                self._draft = None

    def tidy(self, alive: Collection[bytes]) -> None:
        """Forget what is not `alive`; write half-dead packs and too many small ones together."""
        self.seal()
        living: dict[str, list[bytes]] = {}
        for digest in alive:
            living.setdefault(self.places[digest].pack, []).append(digest)
        filled = {
            pack: sum(_padded(self.places[digest].size) for digest in digests)
            for pack, digests in living.items()
        }
        sizes = {pack: (self._folder / f"{pack}.tar").stat().st_size for pack in living}
        loose = {pack for pack, size in sizes.items() if filled[pack] < (size - len(_END)) / 2}
        small = {pack for pack, size in sizes.items() if size < FULL / 2}
        if len(small) > SMALL_PACKS:
            loose |= small
        self.places = {digest: self.places[digest] for digest in alive}
        moving = [(self.places[digest], digest) for pack in loose for digest in living[pack]]
        for place, digest in sorted(moving):
            self._append(digest, read(self._folder, digest, place))
        self.seal()

    def remove_others(self) -> None:
        """Delete the packs that hold nothing of `places`: nobody may read them any more."""
        used = {place.pack for place in self.places.values()}
        for path in self._folder.glob("*.tar"):
            if path.stem not in used:
                path.unlink()

    def _append(self, digest: bytes, content: bytes) -> None:
        if self._draft and self._draft.size + _padded(len(content)) + len(_END) > FULL:
            self.seal()
        with written(self._folder):
            if not self._draft:
                self._draft = _Draft(self._folder)
            self._draft.append(digest, content)


class _Draft:
    """A pack that is being written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}{_DRAFT}"
        self._stream = self._path.open("wb", buffering=2**20)
        self.size = 0
        self.places: dict[bytes, tuple[int, int]] = {}

    def append(self, digest: bytes, content: bytes) -> None:
        member = tarfile.TarInfo(digest.hex())
        member.size = len(content)
        self._stream.write(member.tobuf(tarfile.USTAR_FORMAT))
        self._stream.write(content)
        self._stream.write(bytes(-len(content) % _BLOCK))
        self.places[digest] = (self.size + _BLOCK, len(content))
        self.size += _padded(len(content))

    def finish(self) -> dict[bytes, Place]:
        """Put the pack in its place, whole; return what it holds."""
        self._stream.write(_END)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        pack = _identity(self.places)
        self._path.replace(self._path.with_name(f"{pack}.tar"))
        _sync(self._path.parent)
        return {digest: Place(pack, *where) for digest, where in self.places.items()}

    def discard(self) -> None:
        # On a full disk, closing tries to write what is left and fails once more.
        with suppress(OSError):
            self._stream.close()
        self._path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def _padded(size: int) -> int:
    """Return the bytes of a member: its header and its data in whole blocks."""
    return _BLOCK + size + -size % _BLOCK


def _members(path: Path) -> dict[bytes, Place]:
    """Return what a pack holds that no list names; nothing if it is not whole."""
    try:
        with tarfile.open(path, "r:") as pack:
            found = {
                bytes.fromhex(member.name): Place(path.stem, member.offset_data, member.size)
                for member in pack
            }
    except (tarfile.TarError, ValueError, OSError):
        return {}
    return found if _identity(found) == path.stem else {}
