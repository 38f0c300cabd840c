"""Images of your own: whatever `from` names, folders, archives and tables, here or at an address.

The raw folder holds the originals byte for byte, in packs, and a list of them. Labels and splits
come from a table, or from the folders that the files lie in.
"""

import hashlib
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from convoy import origins, packs, progress
from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins import manifest
from convoy.origins.layout import Layout, Meaning, check_labels
from convoy.origins.origin import File
from convoy.settings import Dataset
from convoy.sources.source import Encoded, LabelledImage, Source
from convoy.splits import Split


def fetch(dataset: Dataset, places: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Make `raw` hold what the origins hold now; bytes that lie there already stay as they are.

    Raises `DataRefused` for an origin that is missing, empty or harmful, `ConvoyError` where nobody
    answers or the disk is full; what `raw` held is then untouched. So it is by a crash.
    """
    found = origins.distinct(places)
    names = _names(found)
    files, findings = list[File](), list[Finding]()
    try:
        held = {listed.file.digest: listed.place for listed in manifest.read(raw)}
    except DataRefused:
        # The first time, or what is damaged: the packs themselves say what they hold.
        held = {}
    with packs.Packs(raw / "packs", held) as kept:
        for origin, name in zip(found, names, strict=True):
            for one in origins.scan(origin, kept, memory):
                if isinstance(one, File):
                    files.append(one._replace(origin=name) if name else one)
                else:
                    findings.append(replace(one, path=posixpath.join(name, one.path)))
                progress.images(len(files))
        kept.tidy({file.digest for file in files})
        manifest.write(raw, files, kept.places, findings)
        kept.remove_others()
    manifest.remove_others(raw)


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage | Finding]:
    """Yield the images that `raw` holds in the order of their bytes on the disk, then findings.

    Raises `DataRefused` for damaged bytes, for classes that differ in case only, and for folders
    below a class where `nested` does not say what they mean.
    """
    layouts = defaultdict[str, Layout](partial(Layout, dataset.nested))
    labels = set[str]()
    for file, _ in manifest.read(raw):
        if file.label:
            labels.add(file.label)
        else:
            layouts[file.origin].add(file.path)
    check_labels(labels.union(*(layout.settle() for layout in layouts.values())))
    astray = []
    for file, place in manifest.read(raw):
        meaning = _meaning(file, layouts)
        path = posixpath.join(file.origin, file.path)
        if isinstance(meaning, Finding):
            astray.append(replace(meaning, path=path))
        else:
            image = Encoded(file.digest, partial(packs.read, raw / "packs", file.digest, place))
            yield LabelledImage(path, image, meaning.label, meaning.split, file.group or None)
    yield from manifest.findings(raw)
    yield from astray


def fingerprint(places: tuple[str, ...]) -> str:
    """Return a digest of the names, sizes and times of what the origins hold.

    Raises `DataRefused` for an origin that is missing, `ConvoyError` where nobody answers.
    """
    each = "\n".join(map(origins.fingerprint, origins.distinct(places)))
    return hashlib.sha256(each.encode()).hexdigest()


def _meaning(file: File, layouts: Mapping[str, Layout]) -> Meaning | Finding:
    if not file.label:
        return layouts[file.origin].meaning(file.path)
    return Meaning(file.label, cast(Split, file.split) if file.split else None)


def _names(places: tuple[str, ...]) -> list[str]:
    """Return a name for each origin: the last one of its path, with a number where it is taken.

    The first has none, so that what is known of its files stays as it is when others are added.
    """
    names = [""]
    for place in places[1:]:
        name = posixpath.basename(urlsplit(place).path if "://" in place else place) or "files"
        taken = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{taken + 1}" if taken else name)
    return names


SOURCE = Source(fetch=fetch, read=read, fingerprint=fingerprint)
