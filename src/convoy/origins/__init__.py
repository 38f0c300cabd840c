"""Places that hold image files: folders, archives and tables, on this machine or at an address."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins import archive
from convoy.origins.bringing import Memory, bring
from convoy.origins.origin import File
from convoy.origins.place import Place
from convoy.origins.remote import is_remote
from convoy.packs import Packs


def distinct(origins: Iterable[str]) -> tuple[str, ...]:
    """Return the origins once each, however they are written."""
    found: dict[str, str] = {}
    for origin in origins:
        if is_remote(origin):
            found.setdefault(origin.rstrip("/"), origin.rstrip("/"))
        else:
            # The paths of a table begin where the user sees it, not where a link leads to.
            found.setdefault(os.path.realpath(origin), os.path.abspath(origin))  # noqa: PTH100
    return tuple(found.values())


def scan(origin: str, packs: Packs, memory: Path) -> Iterator[File | Finding]:
    """Yield the files that an origin holds now, their bytes in `packs`, and its findings.

    What the folder `memory` knows to be unchanged is not read. Raises `DataRefused` for an origin
    that is not there, cannot be read or holds no file, `ConvoyError` where nobody answers.
    """
    place, remembered = Place(origin), Memory(memory, origin)
    if place.kind == "archive":
        found = _archive(place, origin, packs, remembered)
    else:
        found = bring(place.listing(), packs, remembered)
    files = 0
    last = "it is empty: mount its disk, or mend `from`."
    for one in found:
        if isinstance(one, File):
            files += 1
        else:
            last = str(one)
        yield one
    if not files:
        raise DataRefused(f"{origin} holds no file that can be used; {last}")


def fingerprint(origin: str) -> str:
    """Return a text that changes when what `scan` yields has; no file is read but tables."""
    place = Place(origin)
    if place.kind == "archive":
        return place.stamp()
    digest = hashlib.sha256()
    for found in place.listing():
        if isinstance(found, Finding):
            line = str(found)
        else:
            line = "\0".join((found.path, found.stamp, found.label, found.split, found.group))
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _archive(place: Place, origin: str, packs: Packs, memory: Memory) -> Iterator[File | Finding]:
    """Yield the files of an archive; one that has not changed is not opened."""
    stamp = place.stamp(sure=True)
    known, files, findings = memory.known.get("", ("", [], []))
    digests = [bytes.fromhex(digest) for _, digest, _ in files]
    if stamp == known and stamp and all(digest in packs for digest in digests):
        for (path, _, size), digest in zip(files, digests, strict=True):
            yield File("", path, digest, size)
        for finding in findings:
            yield Finding(**{**finding, "others": tuple(finding["others"])})
        return
    files, findings = [], []
    with place.opened(memory.scratch) as archived:
        for found in archive.scan(archived, origin, packs):
            if isinstance(found, File):
                files.append([found.path, found.digest.hex(), found.size])
            else:
                findings.append(found.to_json())
            yield found
    memory.keep({"": [stamp, files, findings]})
