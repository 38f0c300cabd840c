"""From what an origin lists to bytes in packs: nothing is read again that did not change."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from convoy.files import read_json, write_atomically
from convoy.findings import Finding
from convoy.origins.local import unreadable
from convoy.origins.origin import File, Item
from convoy.packs import Packs

THREADS = 16
"""How many requests a server gets at once."""
AHEAD = 64 * 2**20
"""The bytes that may wait in memory, asked for and not yet kept."""


class Memory:
    """What a fetch remembers of an origin for the next one; losing it costs time only."""

    def __init__(self, folder: Path, origin: str) -> None:
        name = hashlib.sha256(origin.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = folder / f"{name}.json"
        self.scratch = folder / f"{name}.part"
        """Where a copy of the origin may lie for the time of a fetch."""
        kept = read_json(self._path)
        self.known: dict[str, Any] = kept if isinstance(kept, dict) else {}

    def keep(self, known: dict[str, Any]) -> None:
        # A disk that does not take it is no reason to lose what was fetched.
        with suppress(OSError):
            if known != self.known:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._path, json.dumps(known).encode())

    def digest(self, item: Item, packs: Packs) -> bytes | None:
        """Return the sha256 of an item that has not changed, if `packs` has its bytes."""
        stamp, digest = self.known.get(item.path, ("", ""))
        if not item.stamp or item.stamp != stamp:
            return None
        known = bytes.fromhex(digest)
        return known if known in packs else None


def bring(
    listing: Iterable[Item | Finding], packs: Packs, memory: Memory
) -> Iterator[File | Finding]:
    """Yield a file for each item, its bytes in `packs`, and the findings as they come.

    A file that cannot be read is quarantined.
    """
    seen: dict[str, Any] = {}
    try:
        for found in _asked_for(listing, packs, memory):
            if isinstance(found, Finding):
                yield found
                continue
            stamp, size = found.stamp, found.size
            digest = memory.digest(found, packs)
            if digest is None:
                try:
                    content, stamp = found.read()
                except OSError as error:
                    yield unreadable(found.path, error)
                    continue
                digest, size = packs.keep(content), len(content)
            if stamp:
                seen[found.path] = [stamp, digest.hex()]
            yield File("", found.path, digest, size, found.label, found.split, found.group)
    except BaseException:
        memory.keep(memory.known | seen)
        raise
    memory.keep(seen)


def _asked_for(
    listing: Iterable[Item | Finding], packs: Packs, memory: Memory
) -> Iterator[Item | Finding]:
    """Yield what `listing` does; of origins that answer late, the next items are asked for."""
    waiting = deque[Item | Finding]()
    asked = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for found in listing:
            if isinstance(found, Item) and found.late and memory.digest(found, packs) is None:
                found = found._replace(read=pool.submit(found.read).result)
            waiting.append(found)
            asked += _size(found)
            while len(waiting) > 2 * THREADS or asked > AHEAD:
                first = waiting.popleft()
                asked -= _size(first)
                yield first
        yield from waiting


def _size(found: Item | Finding) -> int:
    return found.size if isinstance(found, Item) and found.late else 0
