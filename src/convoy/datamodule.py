"""A dataset version as batches: the whole split in memory, gathered by index.

No worker processes: for images that fit in memory they only add copies, and on two cores they made
reading several times slower.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from convoy.errors import DataRefused

Batch = tuple[Tensor, Tensor]


def read_split(files: Mapping[str, str], split: str) -> tuple[Tensor, Tensor]:
    """Return a split's images (N, H, W, C) uint8 and labels (N,) int64.

    `files` maps the names of a prepared dataset to where their bytes are.
    Raises `DataRefused` for arrays that do not belong together.
    """
    images = _read(files, f"{split}-images.npy")
    labels = _read(files, f"{split}-labels.npy")
    if images.ndim != 4 or images.dtype != torch.uint8 or labels.shape != images.shape[:1]:
        raise DataRefused(
            f"the {split} split holds images {tuple(images.shape)} of {images.dtype} and labels "
            f"{tuple(labels.shape)}: prepare the dataset again."
        )
    return images, labels


def _read(files: Mapping[str, str], name: str) -> Tensor:
    if name not in files:
        raise DataRefused(f"the dataset version has no {name}: prepare the dataset again.")
    return torch.from_numpy(np.load(Path(files[name]), allow_pickle=False))


class Batches:
    """Batches of one split, images (N, C, H, W) uint8, channels last in memory.

    With `shift`, each image moves by up to that many pixels each way, drawn an image. Order and
    shifts follow from the seed and the epoch alone: a resumed training sees what an unbroken one
    would have seen.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        seed: int | None = None,
        shift: int = 0,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.images = images.permute(0, 3, 1, 2)
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.shift = shift
        self.epoch = epoch

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
            yield images.contiguous(memory_format=torch.channels_last), self.labels[chosen]


def shifted(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each moved by a draw of up to `pixels` in either direction.

    What moves in at the border is black.
    """
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    draws = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=generator)
    rows = (draws[0] + torch.arange(height)).view(count, 1, height, 1)
    columns = (draws[1] + torch.arange(width)).view(count, 1, 1, width)
    image = torch.arange(count).view(count, 1, 1, 1)
    channel = torch.arange(images.shape[1]).view(1, -1, 1, 1)
    return padded[image, channel, rows, columns]


class DataModule(pl.LightningDataModule):
    """Train and val of a dataset version; the test split is read by evaluation alone."""

    def __init__(self, files: Mapping[str, str], batch_size: int, seed: int, shift: int) -> None:
        super().__init__()
        self.files = files
        self.batch_size = batch_size
        self.seed = seed
        self.shift = shift

    def train_dataloader(self) -> Batches:
        return Batches(
            *read_split(self.files, "train"),
            self.batch_size,
            self.seed,
            self.shift,
            lambda: self.trainer.current_epoch if self.trainer else 0,
        )

    def val_dataloader(self) -> Batches:
        return Batches(*read_split(self.files, "val"), batch_size=256)
