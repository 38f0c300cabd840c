"""Random batches of CIFAR-10 for training, cropped and mirrored, against a DataLoader of files.

    python -m benchmarks.reading [RESULT.json]

The peer is what PyTorch's tutorials do: a folder of JPEG files, each opened with Pillow, cropped
and flipped in `__getitem__`, with the number of workers that serves it best.

On a GPU: `python -m benchmarks.gpu reading`.
"""

import random
import statistics
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, repeat, starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.datasets import CIFAR10, dataset_of, prepared
from benchmarks.devices import clock
from benchmarks.rows import Row, keep
from convoy.augmentation.composition import Augmentation
from convoy.augmentation.settings import Augment
from convoy.datamodule import Batches, read_split
from convoy.readers import Resident

BATCH = 256
PAD = 4
WORKERS = (0, 1, 2, 4)
BOUND = 8
CPU = torch.device("cpu")


class Count(NamedTuple):
    """How long is measured."""

    workers: tuple[int, ...] = WORKERS
    repeats: int = 5
    seconds: float = 2.0
    batch: int = BATCH


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
        rows = against_loaders(CIFAR10, Path(scratch), Count(), BOUND)
    for row in rows:
        row.show()
    if result:
        keep(result, "python -m benchmarks.reading RESULT.json", rows)
    return int(not all(row.holds for row in rows))


def against_loaders(
    data: Path, scratch: Path, count: Count, bound: float | None, device: torch.device = CPU
) -> list[Row]:
    """Measure on images `train/<class>/*.jpg`, in a folder or an archive."""
    found = _measure(data, scratch, count, device)
    ours = statistics.median(found["convoy"])
    peers = {name: statistics.median(rates) for name, rates in found.items() if name != "convoy"}
    peer = max(peers.values())
    detail = {"images a second, medians": {"convoy": ours, **peers}, "all": found}
    return [
        Row("images cropped and mirrored, images a second", ours),
        Row("the best DataLoader, images a second", peer),
        Row("times the best DataLoader", ours / peer, bound, True, detail),
    ]


def _measure(
    data: Path, scratch: Path, count: Count, device: torch.device
) -> dict[str, list[float]]:
    """Return images a second of each reader, once a repeat, one after another in each."""
    files = prepared(dataset_of("files", data, "rgb", 32), scratch / "work")
    images, labels = read_split(files, "train")
    plain = Batches(Resident(images.to(device)), labels.to(device), count.batch, seed=1)
    augmentation = Augmentation(Augment(shift=PAD, flip=True))
    draws = torch.Generator(device).manual_seed(1)

    def batches() -> Iterator[Any]:
        for pixels, numbers in plain:
            yield augmentation(pixels, numbers, draws, 10)

    readers: dict[str, Callable[[], Iterator[Any]]] = {
        "convoy": lambda: chain.from_iterable(
            starmap(batches, repeat(()))
        )  # an epoch is over in no time
    }
    photographs = Photographs(_unpacked(data, scratch / "files") / "train")
    for workers in count.workers:
        loader = DataLoader(
            photographs,
            count.batch,
            shuffle=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )
        readers[f"DataLoader, workers {workers}"] = partial(_brought, loader, device)
    found: dict[str, list[float]] = {name: [] for name in readers}
    warnings.filterwarnings("ignore", "This DataLoader will create")
    ahead = 3 * max(count.workers)  # workers start, and make two batches each
    for _ in range(count.repeats):
        for name, reader in readers.items():
            found[name].append(_rate(reader(), ahead, count.seconds, device))
    return found


def _unpacked(data: Path, folder: Path) -> Path:
    if data.is_dir():
        return data
    with tarfile.open(data) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _brought(loader: DataLoader[Any], device: torch.device) -> Iterator[Any]:
    for images, labels in loader:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def _rate(batches: Iterator[Any], ahead: int, seconds: float, device: torch.device) -> float:
    """Return images a second, by all batches that are done in some seconds.

    The first `ahead` are not timed. Within, the device is never waited for.
    """
    for _ in range(ahead):
        next(batches)
    began = clock(device)
    count = 0
    while time.perf_counter() - began < seconds and (batch := next(batches, None)):
        images, labels = batch
        assert images.shape[1:] == (3, 32, 32)
        count += len(labels)
    return count / (clock(device) - began)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
