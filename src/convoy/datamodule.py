"""A dataset version as batches: the whole split in memory, gathered by index.

No worker processes: for images that fit in memory they only add copies, and on two cores they made
reading several times slower.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional as F

from convoy import shards
from convoy.errors import DataRefused
from convoy.files import read_json
from convoy.splits import Split

Batch = tuple[Tensor, Tensor]


def read_split(files: Mapping[str, str], split: Split) -> tuple[Tensor, Tensor]:
    """Return a split's images (N, H, W, C) uint8 and labels (N,) int64, in a version's own order.

    `files` maps the names of a prepared dataset to where their bytes are. Raises `DataRefused` for
    files that do not belong together, and for a split without images.
    """
    manifest = read_json(Path(files.get("manifest.json", "")))
    if not isinstance(manifest, dict):
        raise DataRefused("the dataset version has no manifest.json: prepare the dataset again.")
    number = {label: place for place, label in enumerate(manifest["classes"])}
    where = shards.places(files)
    chosen = where.of(split)
    images = shards.gather(files, where, chosen)
    labels = np.array([number[where.stored[one].label] for one in chosen], np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


class Batches:
    """Batches of one split, images (N, C, H, W) uint8, channels last in memory.

    With `shift`, each image moves by up to that many pixels each way, drawn an image; with `flip`,
    left and right are exchanged in half of them, drawn an image. Order, shifts and flips follow
    from the seed and the epoch alone: a resumed training sees what an unbroken one would have seen.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        seed: int | None = None,
        shift: int = 0,
        epoch: Callable[[], int] = lambda: 0,
        flip: bool = False,
    ) -> None:
        self.images = images.permute(0, 3, 1, 2)
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.shift = shift
        self.epoch = epoch
        self.flip = flip

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.labels)
        generator = torch.Generator()
        order = torch.arange(count)
        if self.seed is not None:
            generator.manual_seed(self.seed * 1_000_003 + self.epoch())
            order = torch.randperm(count, generator=generator)
        for start in range(0, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            images = self.images[chosen]
            if self.shift:
                images = shifted(images, self.shift, generator)
            if self.flip:
                images = flipped(images, generator)
            yield images.contiguous(memory_format=torch.channels_last), self.labels[chosen]


def shifted(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each moved by a draw of up to `pixels` in either direction.

    What moves in at the border is black.
    """
    count, channels, height, width = images.shape
    # Rows of a channels-last window lie in one piece each: seven times faster than by the pixel.
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0) + (pixels,) * 4).contiguous()
    windows = sliding_window_view(padded.numpy(), (height, width, channels), axis=(1, 2, 3))
    down, right = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=generator).numpy()
    chosen = windows[np.arange(count), down[:, 0], right[:, 0], 0]
    return torch.from_numpy(chosen).permute(0, 3, 1, 2)


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each mirrored left to right by the toss of a coin."""
    drawn = torch.randint(0, 2, (len(images),), generator=generator).bool()
    found = images.clone()
    found[drawn] = images[drawn].flip(3)
    return found


class DataModule(pl.LightningDataModule):
    """Train and val of a dataset version; the test split is read by evaluation alone."""

    def __init__(
        self, files: Mapping[str, str], batch_size: int, seed: int, shift: int, flip: bool
    ) -> None:
        super().__init__()
        self.files = files
        self.batch_size = batch_size
        self.seed = seed
        self.shift = shift
        self.flip = flip

    def train_dataloader(self) -> Batches:
        return Batches(
            *read_split(self.files, "train"),
            self.batch_size,
            self.seed,
            self.shift,
            lambda: self.trainer.current_epoch if self.trainer else 0,
            self.flip,
        )

    def val_dataloader(self) -> Batches:
        return Batches(*read_split(self.files, "val"), batch_size=256)
