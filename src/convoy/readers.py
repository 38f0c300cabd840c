"""Where the images of a split are while they are trained on, each place with the same answers.

Images that fit are held as one tensor on the device: gathering a batch by index is then all the
reading there is. Others stay on the disk, mapped, and a thread of their own brings each batch while
the one before is trained on.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convoy import shards
from convoy.errors import DataRefused
from convoy.shards import Places
from convoy.splits import Split

Kind = Literal["device", "disk"]
"""Where a split is read from."""

SHARE = 0.5
"""Of the device's free memory, what images may take: a network and its gradients need the rest."""


class Reader(Protocol):
    """Images by their number in a split."""

    kind: Kind

    def read(self, chosen: Tensor) -> Tensor:
        """Return images (N, C, H, W) uint8, channels last in memory, for numbers (N,) int64."""


class Resident:
    """All images (N, H, W, C) uint8 on one device; the numbers come on it too."""

    kind: Kind = "device"

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def read(self, chosen: Tensor) -> Tensor:
        # Whole images lie in one piece each, so that this copies them as they are.
        return self._images[chosen].permute(0, 3, 1, 2)


class Mapped:
    """Images in the mapped shards of a dataset version; nothing of them is held."""

    kind: Kind = "disk"

    def __init__(
        self, files: Mapping[str, str], where: Places, chosen: NDArray[np.int64], pin: bool
    ) -> None:
        names = [f"shards/{name}.npy" for name in where.shards]
        if missing := [name for name in names if name not in files]:
            raise DataRefused(f"{missing[0]} is missing: prepare the dataset again.")
        self._shards = [shards.open_pixels(Path(files[name])) for name in names]
        self._shard, self._row = where.shard[chosen], where.row[chosen]
        self._pin = pin

    def read(self, chosen: Tensor) -> Tensor:
        numbers = chosen.numpy()
        shape = (len(numbers), *self._shards[0].shape[1:])
        # Pinned, a GPU fetches them by itself while it computes.
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin)
        found, shard, row = images.numpy(), self._shard[numbers], self._row[numbers]
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            here = here[np.argsort(row[here])]  # the disk reads forwards
            found[here] = self._shards[number][row[here]]
        return images.permute(0, 3, 1, 2)


def open_split(
    files: Mapping[str, str],
    where: Places,
    split: Split,
    device: torch.device,
    kind: Kind | None = None,
) -> Reader:
    """Return a split's images for training on `device`.

    They are on it where they fit into half of its free memory, else on the disk; `kind` decides
    otherwise. Raises `DataRefused` for a split without images and for files that do not belong
    together.
    """
    chosen = where.of(split)
    one = shards.gather(files, where, chosen[:1])
    if kind is None:
        kind = "device" if one.nbytes * len(chosen) <= SHARE * free(device) else "disk"
    if kind == "device":
        return Resident(torch.from_numpy(shards.gather(files, where, chosen)).to(device))
    return Mapped(files, where, chosen, pin=device.type == "cuda")


def free(device: torch.device) -> int:
    """Return the bytes that are free on a device; what a processor's files keep in memory is."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
