"""A folder of this machine as an origin: walked in the order of names, never out of itself."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins import local, names
from convoy.origins.origin import LARGEST, Item, quarantined, too_large

DEEPEST = 100
"""How many folders may lie in one another."""


def listing(root: str) -> Iterator[Item | Finding]:
    """Yield the files below `root`, and what stands there that is no file of a dataset.

    Links are followed inside `root` only, and to each folder once. Nothing is opened. Raises
    `DataRefused` if the folder itself cannot be listed.
    """
    try:
        os.scandir(root).close()
    except OSError as error:
        raise DataRefused(
            f"cannot list {root} ({error.strerror}): allow reading it, or mount its disk."
        ) from error
    yield from _Walk(root).folder(root, "")


class _Walk:
    def __init__(self, root: str) -> None:
        self._inside = os.path.realpath(root)
        self._followed: set[str] = set()

    def folder(self, place: str, prefix: str) -> Iterator[Item | Finding]:
        if prefix.count("/") > DEEPEST:
            reason = f"a folder below {DEEPEST} others"
            yield quarantined("too-deep", names.printable(prefix), reason, "move its files up")
            return
        try:
            with os.scandir(place) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield local.unreadable(prefix.rstrip("/"), error)
            return
        if prefix and all(names.is_hidden(entry.name) for entry in ordered):
            yield names.empty_folder(prefix.rstrip("/"))
        for entry in ordered:
            path = prefix + entry.name
            if names.is_hidden(entry.name):
                yield _hidden(entry, path)
                continue
            try:
                if entry.is_symlink():
                    yield from self._link(entry.path, path)
                elif entry.is_dir(follow_symlinks=False):
                    yield from self.folder(entry.path, f"{path}/")
                else:
                    yield _file(entry.path, path, entry.stat(follow_symlinks=False))
            except OSError as error:
                yield local.unreadable(path, error)

    def _link(self, place: str, path: str) -> Iterator[Item | Finding]:
        target = os.path.realpath(place)
        if os.path.commonpath((target, self._inside)) != self._inside:
            yield quarantined(
                "link-out",
                names.printable(path),
                "a link that leads out of the folder",
                "put the file itself there, or name its folder in `from` of params.yaml",
            )
            return
        try:
            status = Path(target).stat()
        except OSError:
            yield quarantined(
                "link-broken", names.printable(path), "a link to nothing", "restore or remove it"
            )
            return
        if not S_ISDIR(status.st_mode):
            yield _file(target, path, status)
        elif target in self._followed or Path(place).parent.resolve().is_relative_to(target):
            yield quarantined(
                "link-loop",
                names.printable(path),
                "a link to a folder that is read already",
                "remove the link",
            )
        else:
            self._followed.add(target)
            yield from self.folder(target, f"{path}/")


def _file(place: str, path: str, status: os.stat_result) -> Item | Finding:
    if problem := names.bad_name(path):
        return problem
    if not S_ISREG(status.st_mode):
        return local.unreadable(path, local.NotAFile())
    if status.st_size > LARGEST:
        return too_large(path, status.st_size)
    return Item(path, status.st_size, local.stamp(status), partial(local.read, place))


def _hidden(entry: "os.DirEntry[str]", path: str) -> Finding:
    if not entry.is_dir(follow_symlinks=False):
        return names.hidden(path)
    return names.hidden(path, _count(entry.path))


def _count(folder: str) -> int:
    """Return how many files lie below a folder; links are not followed."""
    files, waiting = 0, [folder]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    files += 1
    return files
