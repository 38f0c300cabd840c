"""The images that a preparation holds: those of the former version, and those that are new.

Each distinct image has a number. What the former version stored is linked, not written again; what
is new comes into new shards.
"""

import math
import os
import shutil
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convoy import shards
from convoy.decoding import COUNT
from convoy.errors import DataRefused
from convoy.ingestion import near
from convoy.ingestion.columns import Columns
from convoy.ingestion.decoded import Decoded
from convoy.settings import Dataset
from convoy.shards import SHARD_BYTES, Stored

SMALL_SHARDS = 8
"""Shards less than half full that are put up with: each ingestion may add one."""

BATCH = 1024
"""Images that are read at once."""


_NOWHERE = -1


class Store:
    """Numbered images, in the shards of the folder `draft`."""

    def __init__(self, draft: Path, dataset: Dataset, former: Mapping[str, str]) -> None:
        """`former` maps the files of a version whose images are of the same form, or is empty."""
        self.folder = draft / "shards"
        self.folder.mkdir(parents=True)
        self.numbers: dict[bytes, int] = {}
        """Of each content."""
        self.of_file: dict[bytes, int] = {}
        """The number of each encoded file's image."""
        self.known = Columns()
        """As the former version has them, or with nothing yet of label and split."""
        self._names: list[str] = []
        # Where each image is: which of the names, and its row. Arrays, for there are millions.
        self._shards = array("i")
        self._rows = array("i")
        form = (dataset.image_size, dataset.image_size, COUNT[dataset.channels])
        full = max(1, SHARD_BYTES // math.prod(form))
        self._waiting: list[int] = []
        self._pixels = np.empty((full, *form), np.uint8)
        self._marks = np.empty((full, near.SIZE), np.int8)
        for name in shards.shard_names(former):
            self._take_over(name, former)

    def _take_over(self, name: str, former: Mapping[str, str]) -> None:
        try:
            shard = shards.read(former, name)
        except DataRefused:
            return  # damaged: its images are decoded again
        each = zip(shard.stored, shard.pixels, strict=True)
        if any(one.pixels != shards.digest(pixels) for one, pixels in each):
            return
        for kind in shards.KINDS:
            _link(Path(former[f"shards/{name}{kind}"]), self.folder / f"{name}{kind}")
        self._names.append(name)
        for row, stored in enumerate(shard.stored):
            self._number(stored, len(self._names) - 1, row)

    def _number(self, stored: Stored, shard: int, row: int) -> int:
        number = len(self.known)
        self.numbers[stored.content] = number
        if stored.file:
            self.of_file[stored.file] = number
        self.known.append(stored)
        self._shards.append(shard)
        self._rows.append(row)
        return number

    def add(self, image: Decoded, file: bytes) -> int:
        """Return an image's number; its pixels are kept unless they are already."""
        number = self.numbers.get(image.content)
        if number is not None:
            if file:
                self.of_file.setdefault(file, number)
            return number
        pixels = shards.digest(image.pixels)
        size = (image.format, image.width, image.height)
        stored = Stored(image.content, pixels, file, *size, "", "", None, None)
        number = self._number(stored, _NOWHERE, 0)
        self._wait(number, image.pixels, image.signature)
        return number

    def _wait(self, number: int, pixels: NDArray[np.uint8], signature: NDArray[np.int8]) -> None:
        self._pixels[len(self._waiting)] = pixels
        self._marks[len(self._waiting)] = signature
        self._waiting.append(number)
        if len(self._waiting) == len(self._pixels):
            self.flush()

    def flush(self) -> None:
        """Write what waits as a shard."""
        if not self._waiting:
            return
        count = len(self._waiting)
        contents = [self.known[number].content for number in self._waiting]
        pixels, marks = self._pixels[:count], self._marks[:count]
        name = shards.write_pixels(self.folder, contents, pixels, marks)
        self._names.append(name)
        for row, number in enumerate(self._waiting):
            self._shards[number], self._rows[number] = len(self._names) - 1, row
        self._waiting = []

    def complete(self) -> None:
        """Write what waits; nothing is added any more, so what `add` looks up is forgotten."""
        self.flush()
        self.numbers.clear()
        self.of_file.clear()

    @property
    def signatures(self) -> NDArray[np.int8]:
        """(numbers, 64), after `flush` and before `tidy`."""
        each = (shards.open_signatures(self.folder / f"{name}.near.npy") for name in self._names)
        return np.concatenate([*each, np.empty((0, near.SIZE), np.int8)])

    def batches(self, numbers: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of images, (n, side, side, C), a few at a time and shard by shard."""
        for name, members in self._members(numbers).items():
            pixels = shards.open_pixels(self.folder / f"{name}.npy")
            for start in range(0, len(members), BATCH):
                yield pixels[[self._rows[number] for number in members[start : start + BATCH]]]

    def _members(self, numbers: Iterable[int]) -> dict[str, list[int]]:
        """Return by shard the images of `numbers`, in the order of their rows."""
        found: dict[str, list[int]] = {}
        for number in numbers:
            if (shard := self._shards[number]) != _NOWHERE:
                found.setdefault(self._names[shard], []).append(number)
        for members in found.values():
            members.sort(key=self._rows.__getitem__)
        return found

    def tidy(self, used: Collection[int]) -> None:
        """Rewrite shards most of whose images nobody uses, and small ones when they are many."""
        members = self._members(range(len(self.known)))
        alive = {name: [n for n in numbers if n in used] for name, numbers in members.items()}
        worn = {name for name in members if 2 * len(alive[name]) < len(members[name])}
        sizes = {name: (self.folder / f"{name}.npy").stat().st_size for name in members}
        small = {name for name in members if 2 * sizes[name] < SHARD_BYTES} | worn
        if len(small) > SMALL_SHARDS:
            worn = small
        for name in sorted(worn):
            pixels = shards.open_pixels(self.folder / f"{name}.npy")
            marks = shards.open_signatures(self.folder / f"{name}.near.npy")
            for number in alive[name]:
                row = self._rows[number]
                self._wait(number, pixels[row], marks[row])
            for kind in shards.KINDS:
                (self.folder / f"{name}{kind}").unlink(missing_ok=True)
            for number in set(members[name]) - set(alive[name]):
                self._shards[number] = _NOWHERE
        self.flush()

    def write_tables(self, described: Callable[[int], Stored]) -> None:
        """Write what is known of each image, as `described` tells it of a number."""
        for name, members in self._members(range(len(self.known))).items():
            shards.write_table(self.folder / f"{name}.csv", map(described, members))


def _link(original: Path, target: Path) -> None:
    """Give an immutable file a second name; where the file system has none, copy it."""
    try:
        os.link(original, target)
    except OSError:
        shutil.copyfile(original, target)
