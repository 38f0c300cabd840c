"""Batches of images that lie on the device, against PyTorch's DataLoader of JPEG files."""

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.reading import Count, against_loaders
from benchmarks.rows import Row

BOUND = 20
QUICK = Count(workers=(0, 1), repeats=1, seconds=0.2, batch=8)


def rows(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield images a second of both, and the ratio."""
    cores = len(os.sched_getaffinity(0))
    # Enough images are in a batch that a GPU has something to do, and enough batches in an epoch.
    count = Count(workers=(0, *(n for n in (1, 2, 4, 8, 16) if n <= cores)), repeats=3, batch=512)
    bound = wanted.bound(BOUND)
    yield from against_loaders(
        wanted.data, scratch, QUICK if wanted.quick else count, bound, wanted.device
    )
