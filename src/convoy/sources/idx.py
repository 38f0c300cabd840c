"""Images and labels of one's own in IDX files, the format of MNIST, in pairs found by their names.

`from` names folders with such files, or the files themselves; those may be http(s) addresses. The
names hold `images` and `idx3`, `labels` and `idx1`, or begin with `train-`, `t10k-` or `test-`:
`train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`, for instance. The labels of the
dataset are the numbers as text.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from convoy import digests, idx
from convoy.downloads import download
from convoy.errors import DataRefused
from convoy.mirrors import bring, is_address
from convoy.published import File
from convoy.settings import Dataset
from convoy.sources.source import LabelledImage, Source
from convoy.splits import Split

NUMBERS = tuple(map(str, range(256)))
_HALVES = {"images": "idx3", "labels": "idx1"}
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "validation": "val", "test": "test",
    "t10k": "test",
}  # fmt: skip


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Copy the files, byte for byte; without origins, those that lie in `raw` are the user's."""
    raw.mkdir(parents=True, exist_ok=True)
    if not origins:
        return
    brought = set()
    for origin in origins:
        if is_address(origin):
            name = origin.rstrip("/").rpartition("/")[2]
            if not (raw / name).exists():
                download(File(name), [origin], raw / name, memory)
            brought.add(name)
            continue
        for original in _originals(Path(origin)):
            if original.name in brought:
                raise DataRefused(f"two origins hold {original.name}: rename one of the files.")
            bring(original, raw / original.name, memory)
            brought.add(original.name)
    for file in raw.iterdir():
        if _half(file.name) and file.name not in brought:
            file.unlink()


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage]:
    """Yield the images of all pairs in `raw`, by the pairs' names.

    Official splits are those in the names, where one is of training and one of test images.
    Raises `DataRefused` for half a pair and for anything but whole IDX files.
    """
    pairs = _pairs(raw)
    splits = {name: _split(name) for name in pairs}
    official = {"train", "test"} <= set(splits.values())
    for name, (images, labels) in sorted(pairs.items()):
        split = splits[name] if official else None
        if official and split is None:
            raise DataRefused(
                f"{images} says neither train nor test, as other files of {raw} do: rename it."
            )
        yield from labelled(images, labels, NUMBERS, split)


def fingerprint(origins: tuple[str, ...]) -> str | None:
    """Return a digest of the files' names, sizes and times; None where one is an address."""
    if any(is_address(origin) for origin in origins):
        return None
    files = [file for origin in origins for file in _originals(Path(origin))]
    stats = [file.stat() for file in files]
    facts = [(str(f), s.st_size, s.st_mtime_ns) for f, s in zip(files, stats, strict=True)]
    return digests.values(facts)


def labelled(
    images: Path, labels: Path, names: Sequence[str], split: Split | None
) -> Iterator[LabelledImage]:
    """Yield the images of two IDX files, labelled with the names that their numbers stand for.

    Raises `DataRefused` for a number without a name and for anything but whole IDX files.
    """
    row = 0
    for pixels, numbers in idx.read(images, labels):
        for image, number in zip(pixels, numbers.tolist(), strict=True):
            row += 1
            if number >= len(names):
                raise DataRefused(
                    f"{labels}, row {row}: the label {number} instead of 0 to {len(names) - 1}: "
                    f"replace the file."
                )
            yield LabelledImage(f"{images.name}:{row}", image, names[number], split)


def _originals(origin: Path) -> list[Path]:
    """Return the IDX files of a folder, by name, or the one file that `origin` is."""
    try:
        files = [origin] if origin.is_file() else origin.iterdir()
        found = sorted(file for file in files if _half(file.name) and file.is_file())
    except OSError as error:
        raise DataRefused(
            f"cannot read {origin} ({error.strerror}): correct `from`, or allow reading it."
        ) from error
    if not found:
        raise _none(origin)
    # An unpacked copy beside the packed file is the same file.
    return [file for file in found if file.with_name(f"{file.name}.gz") not in found]


def _pairs(raw: Path) -> dict[str, tuple[Path, Path]]:
    """Return images and labels by what their names have in common."""
    halves: dict[str, dict[str, Path]] = {}
    for file in sorted(raw.glob("*")):
        if half := _half(file.name):
            common = re.sub(rf"{half}|{_HALVES[half]}|\.gz$", "", file.name.lower())
            halves.setdefault(common, {})[half] = file
    if not halves:
        raise _none(raw)
    for found in halves.values():
        for half in _HALVES.keys() - found.keys():
            raise DataRefused(
                f"{next(iter(found.values()))} has no file of {half} beside it: add it, with the "
                f"same name but for `{half}`."
            )
    return {common: (found["images"], found["labels"]) for common, found in halves.items()}


def _none(place: Path) -> DataRefused:
    return DataRefused(
        f"{place} has no IDX files: name others with `from`, and call them like "
        f"train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz."
    )


def _half(name: str) -> str | None:
    """Return which half of a pair a file is by its name: images or labels."""
    name = name.lower()
    for half, form in _HALVES.items():
        if half in name and (form in name or re.match(r"(train|t10k|test)-", name)):
            return half
    return None


def _split(name: str) -> Split | None:
    found = [_SPLITS[word] for word in re.split(r"[^a-z0-9]+", name) if word in _SPLITS]
    return found[0] if found else None


SOURCE = Source(fetch=fetch, read=read, fingerprint=fingerprint)
