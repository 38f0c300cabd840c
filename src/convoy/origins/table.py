"""A table as an origin: one row a file, with its label and, if it says so, split and group."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from stat import S_ISREG

from convoy.findings import Finding
from convoy.origins import local, names, remote
from convoy.origins.layout import SPLIT_WORDS
from convoy.origins.origin import LARGEST, Item, quarantined, too_large
from convoy.origins.rows import Row

_SHOWN = 5
"""How many rows one finding names."""


def listing(table: str, rows: Iterable[Row], threads: int) -> Iterator[Item | Finding]:
    """Yield the files that a table names, and all that is wrong with its rows.

    `table` is its path or address: relative paths begin in its folder. They may lead out of it
    only on this machine; a table that came from elsewhere names nothing here.
    """
    sound, wrong = _sound(rows)
    yield from wrong
    away = remote.is_remote(table) or any("://" in row.path for row in sound)
    folder = table.partition("?")[0] if remote.is_remote(table) else table
    locate = _Folder(folder.rpartition("/")[0] or "/", remote.is_remote(table)).locate
    if away:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(locate, sound)
    else:
        yield from map(locate, sound)


def _sound(rows: Iterable[Row]) -> tuple[list[Row], list[Finding]]:
    """Return one row for each path, and findings about the others."""
    found: dict[str, list[Row]] = defaultdict(list)
    wrong = []
    for row in rows:
        path = row.path.replace("\\", "/")
        split = SPLIT_WORDS.get(row.split.lower(), "")
        if problem := _problem(row, split):
            wrong.append(problem)
        else:
            found[path].append(row._replace(path=path, split=split))
    sound = []
    for path, same in found.items():
        wheres = _numbers(same)
        if len({row.label for row in same}) > 1:
            labels = " and ".join(sorted({repr(row.label) for row in same}))
            reason = f"{wheres} give it the labels {labels}"
            wrong.append(quarantined("two-labels", path, reason, "leave the right row"))
        elif len({(row.split, row.group) for row in same}) > 1:
            reason = f"{wheres} give it different splits or groups"
            wrong.append(quarantined("two-splits", path, reason, "leave the right row"))
        else:
            sound.append(same[0])
            if len(same) > 1:
                reason = f"{wheres} say the same"
                wrong.append(Finding("ignored", "same-row", path, reason, "leave one of them"))
    return sound, wrong


def _problem(row: Row, split: str) -> Finding | None:
    where = f"row {row.number}"
    path = names.printable(row.path)
    if row.wrong:
        return quarantined("bad-row", where, f"has {row.wrong}", "quote cells that hold delimiters")
    if not row.path:
        return quarantined("no-path", where, "has no path", "write the path of its file")
    if not row.label:
        return quarantined("no-label", path, f"{where} has no label", "write its label")
    if row.split and not split:
        reason = f"{where} has the split {names.printable(row.split)!r}"
        return quarantined("unknown-split", path, reason, "write train, val or test, or nothing")
    if names.bad_name(row.label + row.group):
        reason = f"the label or group of {where} holds a control character"
        return quarantined("bad-name", path, reason, "write it without")
    return names.bad_name(row.path)


def _numbers(rows: list[Row]) -> str:
    shown = ", ".join(str(row.number) for row in rows[:_SHOWN])
    return f"rows {shown}{' and others' if len(rows) > _SHOWN else ''}"


class _Folder:
    """Where the relative paths of a table begin."""

    def __init__(self, folder: str, away: bool) -> None:
        self._folder = folder
        self._away = away
        self._services: dict[str, remote.Service] = {}

    def locate(self, row: Row) -> Item | Finding:
        """Return the file of a row, not read yet."""
        try:
            item = self._remote(row) if self._away or "://" in row.path else self._local(row)
        except FileNotFoundError:
            reason = f"row {row.number} names it, and there is no such file"
            return quarantined("missing-file", row.path, reason, "mend the path, or add the file")
        except OSError as error:
            return local.unreadable(row.path, error)
        if isinstance(item, Item) and item.size > LARGEST:
            return too_large(row.path, item.size)
        return item

    def _local(self, row: Row) -> Item | Finding:
        place = os.path.join(self._folder, row.path)  # noqa: PTH118 (a Path takes 10 times as long)
        status = os.stat(place)  # noqa: PTH116
        if not S_ISREG(status.st_mode):
            raise local.NotAFile
        return Item(
            row.path,
            status.st_size,
            local.stamp(status),
            partial(local.read, place),
            row.label,
            row.split,
            row.group,
        )

    def _remote(self, row: Row) -> Item | Finding:
        address = row.path
        if "://" not in address:
            if address.startswith("/") or ".." in address.split("/"):
                reason = f"row {row.number} leads out of the table's folder"
                mend = "name files beside the table, or give whole addresses"
                return quarantined("link-out", row.path, reason, mend)
            address = remote.join(self._folder, address)
        if problem := remote.fault(address):
            what, _, mend = problem.partition(": ")
            reason = f"the address in row {row.number} {what}"
            return quarantined("unknown-address", row.path, reason, mend)
        scheme = address.partition(":")[0]
        if scheme not in self._services:
            self._services[scheme] = remote.Service(address)
        item = self._services[scheme].item(row.path, address)
        return item._replace(label=row.label, split=row.split, group=row.group)
