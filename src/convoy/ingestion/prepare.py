"""From what came in to what training reads: decoded, checked, split, in shards, described.

What a former version holds is used again: only files that are new are decoded. The digest of a
version follows from its images, labels and splits alone, whatever road they came by.
"""

import hashlib
import json
import shutil
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convoy import digests, progress
from convoy.decoding import COUNT, Channels
from convoy.errors import ConvoyError, DataRefused
from convoy.files import read_json, write_atomically, write_json
from convoy.findings import Finding
from convoy.formats import FORMATS
from convoy.ingestion.check import Checked, check
from convoy.ingestion.copies import SHOWN
from convoy.ingestion.decoded import Known, decoded
from convoy.ingestion.near import pairs
from convoy.ingestion.render import render
from convoy.ingestion.report import report
from convoy.ingestion.rows import Row
from convoy.ingestion.store import Store
from convoy.preprocessing import colour
from convoy.settings import Checks, Dataset
from convoy.shards import Stored
from convoy.sources import describe
from convoy.splits import Split

_SUFFIXES = {"JPEG": ("jpg", "jpeg", "jpe", "jfif"), "TIFF": ("tif", "tiff")}
_NAMED = {suffix: form for form in FORMATS for suffix in _SUFFIXES.get(form, (form.lower(),))}


def prepare(
    name: str, dataset: Dataset, checks: Checks, raw: Path, prepared: Path, reports: Path
) -> None:
    """Write `prepared` as a whole, or leave it as it was.

    Raises `DataRefused` for what the checks refuse, after a report of it is written to `reports`.
    """
    draft = prepared.with_name(f".{prepared.name}.draft")
    former = prepared.with_name(f".{prepared.name}.former")
    try:
        _put_back(former, prepared)
        for folder in (draft, former):
            shutil.rmtree(folder, ignore_errors=True)
        draft.mkdir(parents=True)
        checked = _write(name, dataset, checks, raw, _reusable(prepared, dataset), draft)
        if checked.refusals:
            _refuse(checked, draft, reports)
        if prepared.exists():
            prepared.rename(former)
        draft.rename(prepared)
    except OSError as error:
        raise ConvoyError(
            f"cannot write {error.filename or draft} ({error.strerror}): free some space or give "
            f"this user the right to write there; the former version is as it was."
        ) from error
    finally:
        _put_back(former, prepared)
        for folder in (draft, former):
            shutil.rmtree(folder, ignore_errors=True)


def _put_back(former: Path, prepared: Path) -> None:
    """Undo the first of the two renames, where the second did not come."""
    if former.exists() and not prepared.exists():
        former.rename(prepared)


def form_of(dataset: Dataset) -> str:
    """Return the digest of what decides an image's prepared pixels, beside the image."""
    code = digests.code("convoy.decoding", "convoy.preprocessing", "convoy.ingestion.near")
    channels = COUNT[dataset.channels]
    return digests.values(code, version("pillow"), dataset.image_size, channels, dataset.channels)


def _reusable(prepared: Path, dataset: Dataset) -> dict[str, str]:
    """Return the files of the former version if its images are in the form that is asked for."""
    manifest = read_json(prepared / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("form") != form_of(dataset):
        return {}
    return files_of(prepared)


def files_of(folder: Path) -> dict[str, str]:
    """Return the files of a prepared dataset by their names in it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): str(path) for path in found}


def _write(
    name: str,
    dataset: Dataset,
    checks: Checks,
    raw: Path,
    former: Mapping[str, str],
    draft: Path,
) -> Checked:
    store = Store(draft, dataset, former)
    rows, numbers, findings = _gather(store, dataset, raw)
    near = _near(store, numbers, checks.near)
    checked = check(rows, near, findings, dataset, checks, name)
    _write_tables(store, rows, numbers, checked.kept)
    train = (numbers[place] for place, split in checked.kept if split == "train")
    mean, std = moments(store.batches(train), dataset.channels)
    # A refused dataset has a report, but no version.
    digest = "" if checked.refusals else _digest(dataset, checked, rows, numbers, store)
    told = report(checked, rows, name=name, version=digest, dataset=dataset, mean=mean, std=std)
    write_atomically(draft / "report.json", json.dumps(told, separators=(",", ":")).encode())
    manifest = {
        "dataset": name,
        "digest": digest,
        "source": dataset.source,
        "classes": checked.classes,
        "channels": dataset.channels,
        "image_size": dataset.image_size,
        "counts": checked.counts,
        "totals": checked.totals,
        "mean": mean,
        "std": std,
        "form": form_of(dataset),
    }
    write_json(draft / "manifest.json", manifest)
    return checked


def _gather(
    store: Store, dataset: Dataset, raw: Path
) -> tuple[list[Row], Sequence[int], list[Finding]]:
    """Have the store hold all images; return their rows with their numbers, and what is wrong."""
    rows: list[Row] = []
    numbers = array("q")
    findings: list[Finding] = []
    # Of copies whose files are of another format than the one whose image is kept.
    formats: dict[bytes, str] = {}
    entries = describe(dataset.source).read(dataset, raw)
    for image in decoded(entries, dataset, store.of_file.__contains__):
        if isinstance(image, Finding):
            findings.append(image)
            continue
        source = image.source
        file = b"" if isinstance(source.image, np.ndarray) else source.image.digest
        if isinstance(image, Known):
            number = store.of_file[file]
        else:
            number = store.add(image, file)
            if image.format != store.known[number].format:
                formats[file] = image.format
        stored = store.known[number]
        size = (stored.width, stored.height)
        named = (source.path, sys.intern(source.label))
        rows.append(Row(*named, stored.content, file, *size, source.split, source.group))
        numbers.append(number)
        progress.images(len(rows))
    store.complete()
    forms = (
        formats.get(row.file) or store.known[n].format for row, n in zip(rows, numbers, strict=True)
    )
    findings.extend(_misnamed(rows, forms))
    return rows, numbers, findings


def _write_tables(
    store: Store, rows: list[Row], numbers: Sequence[int], kept: list[tuple[int, Split]]
) -> None:
    """Write what is known of each image, and in which split it is. All held for it goes after."""
    splits: list[Split | None] = [None] * len(rows)
    for place, split in kept:
        splits[place] = split
    # Of each image the row that stands for it: the one that was kept, where there is one.
    chosen = dict(zip(numbers, range(len(rows)), strict=True))
    chosen.update((numbers[place], place) for place, _ in kept)

    def described(number: int) -> Stored:
        known = store.known[number]
        if (place := chosen.get(number)) is None:
            return known
        path, label, *_, group = rows[place]
        return known._replace(path=path, label=label, split=splits[place], group=group)

    store.tidy(chosen.keys())
    store.write_tables(described)


def _near(store: Store, numbers: Sequence[int], similarity: float) -> NDArray[np.int64]:
    """Return the row numbers of near-duplicates; one row stands for all copies of an image."""
    rows = np.fromiter(dict(zip(numbers, range(len(numbers)), strict=True)).values(), np.int64)
    if not len(rows):
        return np.empty((0, 2), np.int64)
    signatures = store.signatures[np.array(numbers)[rows]]
    return np.sort(rows[pairs(signatures, similarity)], axis=1)


def _digest(
    dataset: Dataset, checked: Checked, rows: list[Row], numbers: Sequence[int], store: Store
) -> str:
    """Return the sha256 of all that a training sees of a version."""
    found = hashlib.sha256(
        json.dumps([dataset.channels, dataset.image_size, checked.classes]).encode()
    )
    for place, split in checked.kept:
        pixels = store.known[numbers[place]].pixels
        found.update(b"\0".join((rows[place].content, pixels, split.encode())))
        found.update(f"\0{rows[place].label}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def _misnamed(rows: list[Row], forms: Iterable[str]) -> Iterator[Finding]:
    """Tell of files that are of another format than their names say: they are read all the same."""
    wrong = [
        (row.path, form)
        for row, form in zip(rows, forms, strict=True)
        if form and _NAMED.get(row.path.rpartition(".")[2].lower(), form) != form
    ]
    if wrong:
        path, form = wrong[0]
        more = f", and {len(wrong) - 1:,} more files are not what they are named" * (len(wrong) > 1)
        yield Finding(
            "warning",
            "extension",
            path,
            f"is a {form}, whatever its name says{more}",
            f"rename {'them' if more else 'it'}, other programs may go by the name",
            tuple(path for path, _ in wrong[1 : 1 + SHOWN]),
        )


def moments(
    batches: Iterable[NDArray[np.uint8]], channels: Channels
) -> tuple[list[float], list[float]]:
    """Return mean and deviation a channel of images (n, side, side, C), after `colour`.

    From counts of levels: the same numbers in whatever order and batches the images come.
    """
    levels = np.zeros((COUNT[channels], 256), np.int64)
    for images in batches:
        seen = images
        if channels == "hsv":
            coloured = colour(torch.from_numpy(images).permute(0, 3, 1, 2), channels)
            seen = coloured.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
        for channel in range(len(levels)):
            levels[channel] += np.bincount(seen[..., channel].ravel(), minlength=256)
    total = np.maximum(levels.sum(axis=1), 1)
    first = (levels * np.arange(256)).sum(axis=1) / total
    second = (levels * np.arange(256) ** 2).sum(axis=1) / total
    std = np.maximum(second - first**2, 1.0) ** 0.5
    return [round(float(m), 6) for m in first], [round(float(s), 6) for s in std]


def _refuse(checked: Checked, draft: Path, reports: Path) -> None:
    reports.mkdir(parents=True, exist_ok=True)
    files = files_of(draft)
    told: dict[str, Any] = read_json(draft / "report.json") or {}
    write_json(reports / "report.json", told)
    write_atomically(reports / "page.html", render(files, told).encode(errors="replace"))
    first, *others = checked.refusals
    more = f" There are {len(others)} more reasons." if len(others) > 1 else ""
    more = " There is one more reason." if len(others) == 1 else more
    raise DataRefused(f"{first}{more} The report: {reports / 'page.html'}")
