"""Prepared images in shards by content, so that the versions of a dataset share what they share.

data/prepared/<dataset>/ holds `manifest.json`, `report.json` and, for each shard, three files with
one entry an image, in the same order:

`shards/<id>.npy`        (n, side, side, C) uint8, the pixels
`shards/<id>.near.npy`   (n, 64) int8, what near-duplicates are found by
`shards/<id>.csv`        what is known of each image: see `Stored`

A shard's name follows from the contents of its images. Images are only ever added in new shards:
a version that has one per cent more of them has one per cent more bytes, and a changed label
changes one small table.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.files import write_atomically
from convoy.splits import Split

KINDS = (".npy", ".near.npy", ".csv")
"""The ends of a shard's file names."""
SHARD_BYTES = 16 * 2**20
"""Pixels of a full shard: big enough for DVC, which is slow with many files."""


PIXELS_DIGEST = 8
"""Bytes of the digest of an image's prepared pixels."""


class Stored(NamedTuple):
    """One image of a shard; digests are bytes, half the memory of text."""

    content: bytes
    """Which image it is, before it was resized, 32 bytes (`convoy.content`)."""
    pixels: bytes
    """Digest of the prepared pixels: what training reads is what was prepared."""
    file: bytes
    """sha256 of the encoded file (32 bytes), empty where the source gives pixels."""
    format: str
    """What the file really is ("JPEG"), empty where the source gives pixels."""
    width: int
    height: int
    path: str
    label: str
    split: Split | None
    """None for an image that is stored, but no part of this version."""
    group: str | None


_COLUMNS = tuple(Stored._fields)


def shard_names(files: Iterable[str]) -> list[str]:
    """Return the names of the shards among a dataset's files, in order."""
    tables = (Path(name) for name in files if name.startswith("shards/"))
    return sorted(path.stem for path in tables if path.suffix == ".csv")


def digest(image: NDArray[np.uint8]) -> bytes:
    """Return the digest of prepared pixels (side, side, C), 8 bytes."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=PIXELS_DIGEST).digest()


def read_table(path: Path) -> Iterator[Stored]:
    """Yield what is known of each image of a shard, in the order of its pixels.

    Raises `DataRefused` for what is no table; that rows are missing shows only beside the pixels.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = csv.reader(stream)
            if tuple(next(rows, ())) != _COLUMNS:
                raise DataRefused(f"{path} is not a shard's table: prepare the dataset again.")
            for content, pixels, file, form, width, height, name, label, split, group in rows:
                yield Stored(
                    bytes.fromhex(content),
                    bytes.fromhex(pixels),
                    bytes.fromhex(file),
                    form,
                    int(width),
                    int(height),
                    name,
                    label,
                    cast(Split, split) if split else None,
                    group or None,
                )
    except (OSError, ValueError, csv.Error) as error:
        raise DataRefused(f"{path} is damaged ({error}): prepare the dataset again.") from error


def write_table(path: Path, stored: Iterable[Stored]) -> None:
    """Write a shard's table, unless it lies there already just so."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)  # which quotes a carriage return only if its lines end with one
    rows.writerow(_COLUMNS)
    for one in stored:
        digests = (one.content.hex(), one.pixels.hex(), one.file.hex())
        rows.writerow((*digests, *one[3:-2], one.split or "", one.group or ""))
    content = text.getvalue().encode("utf-8", errors="surrogateescape")
    if not path.is_file() or path.read_bytes() != content:
        # A new file, never the old one in place: that may be the former version's too.
        write_atomically(path, content)


def write_pixels(
    folder: Path,
    contents: Sequence[bytes],
    pixels: NDArray[np.uint8],
    signatures: NDArray[np.int8],
) -> str:
    """Write a new shard's arrays. Return its name, which follows from `contents` and their form."""
    form = "x".join(map(str, pixels.shape[1:])).encode()
    name = hashlib.sha256(form + b":" + b"".join(contents)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / f"{name}.npy", pixels)
    _save(folder / f"{name}.near.npy", signatures)
    return name


def open_pixels(path: Path) -> NDArray[np.uint8]:
    """Return a shard's pixels (n, side, side, C), mapped: nothing is read before it is used."""
    found = _open(path)
    if found.ndim != 4 or found.dtype != np.uint8:
        raise DataRefused(f"{path} holds {found.shape} of {found.dtype}: prepare it again.")
    return found


def open_signatures(path: Path) -> NDArray[np.int8]:
    """Return a shard's signatures (n, 64), mapped."""
    found = _open(path)
    if found.ndim != 2 or found.dtype != np.int8:
        raise DataRefused(f"{path} holds {found.shape} of {found.dtype}: prepare it again.")
    return found


class Shard(NamedTuple):
    """The three files of a shard."""

    stored: list[Stored]
    pixels: NDArray[np.uint8]
    signatures: NDArray[np.int8]


def read(files: Mapping[str, str], name: str) -> Shard:
    """Return a shard; `files` maps the names of a dataset to where their bytes are.

    Raises `DataRefused` for files that are missing, damaged, or do not belong together. The pixels
    themselves are not read.
    """
    pixels, signatures, table = (_file(files, name, kind) for kind in KINDS)
    shard = Shard(list(read_table(table)), open_pixels(pixels), open_signatures(signatures))
    if len({len(part) for part in shard}) > 1:
        counts = ", ".join(f"{len(part):,}" for part in shard)
        raise DataRefused(
            f"the files of shard {name} are not of one whole ({counts} images): prepare the "
            f"dataset again."
        )
    return shard


def _open(path: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataRefused(f"{path} is damaged ({error}): prepare the dataset again.") from error
    return found


class Places(NamedTuple):
    """Where the images of a version are, those of a split in the order of their contents.

    The order follows from the images alone: whatever shards they came to lie in, a training sees
    them in the same order.
    """

    stored: list[Stored]
    shards: list[str]
    sizes: list[int]
    """How many images each of `shards` holds."""
    shard: NDArray[np.int32]
    """(N,) which of `shards` holds an image."""
    row: NDArray[np.int32]
    """(N,) where in its shard."""

    def of(self, split: Split) -> NDArray[np.int64]:
        """Return which of `stored` are in a split."""
        return np.array([i for i, one in enumerate(self.stored) if one.split == split], np.int64)


def _file(files: Mapping[str, str], name: str, kind: str) -> Path:
    path = f"shards/{name}{kind}"
    if path not in files:
        raise DataRefused(f"{path} is missing: prepare the dataset again.")
    return Path(files[path])


def places(files: Mapping[str, str], left_out: bool = False) -> Places:
    """Return where the images of a version are; `files` maps its names to where their bytes are.

    With `left_out`, the images that are stored but no part of the version are among them.
    """
    shards = shard_names(files)
    tables = [list(read_table(Path(files[f"shards/{name}.csv"]))) for name in shards]
    found = [
        (one, number, row)
        for number, table in enumerate(tables)
        for row, one in enumerate(table)
        if one.split or left_out
    ]
    found.sort(key=lambda entry: entry[0].content)
    return Places(
        [one for one, _, _ in found],
        shards,
        [len(table) for table in tables],
        np.array([number for _, number, _ in found], np.int32),
        np.array([row for _, _, row in found], np.int32),
    )


def gather(files: Mapping[str, str], where: Places, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the pixels (len(chosen), side, side, C) of the images `chosen` of `where`."""
    if not len(chosen):
        raise DataRefused("there are no images in what was asked for: prepare the dataset again.")
    images: NDArray[np.uint8] | None = None
    for number in np.unique(where.shard[chosen]):
        pixels = open_pixels(_file(files, where.shards[number], ".npy"))
        if images is None:
            images = np.empty((len(chosen), *pixels.shape[1:]), np.uint8)
        here = np.flatnonzero(where.shard[chosen] == number)
        rows = where.row[chosen[here]]
        if len(pixels) != where.sizes[number] or pixels.shape[1:] != images.shape[1:]:
            raise DataRefused(
                f"shard {where.shards[number]} does not belong to its table: prepare it again."
            )
        images[here] = pixels[rows]
    assert images is not None
    return images


def _save(path: Path, array: NDArray[Any]) -> None:
    """Write what `np.save` writes, whose own writing does not say which disk is full."""
    header = np.lib.format.header_data_from_array_1_0(array)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(array.data.cast("B"))
