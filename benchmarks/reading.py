"""Random batches of CIFAR-10 for training, cropped and mirrored, against a DataLoader of files.

    python -m benchmarks.reading [RESULT.json]

The peer is what PyTorch's tutorials do: a folder of JPEG files, each opened with Pillow, cropped
and flipped in `__getitem__`, with the number of workers that serves it best.
"""

import json
import random
import statistics
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, repeat, starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.ingestion import CIFAR10, Row, dataset_of, machine, stages
from convoy.augmentation.composition import Augmentation
from convoy.augmentation.settings import Augment
from convoy.datamodule import Batches, read_split
from convoy.ingestion.prepare import files_of
from convoy.readers import Resident

BATCH = 256
PAD = 4
REPEATS = 5
WORKERS = (0, 1, 2, 4)
AHEAD = 3 * max(WORKERS)
"""Batches that are not timed: workers start, and make two each ahead of those that are."""
SECONDS = 2.0


class Photographs(Dataset[tuple[Tensor, int]]):
    """Files in folders that are called like their classes, as `ImageFolder` reads them."""

    def __init__(self, root: Path) -> None:
        labels = sorted(folder.name for folder in root.iterdir())
        numbers = {label: number for number, label in enumerate(labels)}
        self.files = [(str(f), numbers[f.parent.name]) for f in sorted(root.glob("*/*.jpg"))]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as opened:
            image = ImageOps.expand(opened.convert("RGB"), PAD)
        left, upper = random.randrange(2 * PAD + 1), random.randrange(2 * PAD + 1)
        width, height = image.width - 2 * PAD, image.height - 2 * PAD
        image = image.crop((left, upper, left + width, upper + height))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), label


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where the bound is missed."""
    if not CIFAR10.exists():
        print(f"reading: skipped, needs {CIFAR10.name} in shared/data beside the repository")
        return 0
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        found = _measure(Path(scratch))
    ours = statistics.median(found["convoy"])
    peers = {name: statistics.median(rates) for name, rates in found.items() if name != "convoy"}
    peer = max(peers.values())
    detail = {"images a second, medians": {"convoy": ours, **peers}, "all": found}
    rows = [
        Row("cifar-10, cropped and mirrored, images a second", ours),
        Row("the best DataLoader, images a second", peer),
        Row("times the best DataLoader", ours / peer, 8, True, detail),
    ]
    for row in rows:
        row.show()
    if result:
        told = {
            "command": "python -m benchmarks.reading RESULT.json",
            "machine": machine(),
            "rows": [{**row._asdict(), "holds": row.holds} for row in rows],
        }
        result.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(not all(row.holds for row in rows))


def _measure(scratch: Path) -> dict[str, list[float]]:
    """Return images a second of each reader, once a repeat, one after another in each."""
    with tarfile.open(CIFAR10) as archive:
        archive.extractall(scratch / "files", filter="data")
    work = scratch / "work"
    stages(dataset_of("cifar10", CIFAR10.parent, channels="rgb", image_size=32), work)
    images, labels = read_split(files_of(work / "prepared"), "train")
    plain = Batches(Resident(images), labels, BATCH, seed=1)
    augmentation = Augmentation(Augment(shift=PAD, flip=True))
    draws = torch.default_generator

    def batches() -> Iterator[Any]:
        for pixels, numbers in plain:
            yield augmentation(pixels, numbers, draws, 10)

    readers: dict[str, Callable[[], Iterator[Any]]] = {
        "convoy": lambda: chain.from_iterable(
            starmap(batches, repeat(()))
        )  # an epoch is over in no time
    }
    for workers in WORKERS:
        files = Photographs(scratch / "files" / "train")
        loader = DataLoader(files, BATCH, shuffle=True, num_workers=workers)
        readers[f"DataLoader, workers {workers}"] = loader.__iter__
    found: dict[str, list[float]] = {name: [] for name in readers}
    warnings.filterwarnings("ignore", "This DataLoader will create")
    for _ in range(REPEATS):
        for name, reader in readers.items():
            found[name].append(_rate(reader()))
    return found


def _rate(batches: Iterator[Any]) -> float:
    """Return images a second, by all batches that are done in some seconds."""
    for _ in range(AHEAD):
        next(batches)
    began = time.monotonic()
    count, passed = 0, 0.0
    while passed < SECONDS and (batch := next(batches, None)):
        images, labels = batch
        assert images.shape[1:] == (3, 32, 32)
        count += len(labels)
        passed = time.monotonic() - began
    return count / passed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
