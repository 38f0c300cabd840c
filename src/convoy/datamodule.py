"""A dataset version as batches: gathered by index, in an order that the seed decides.

No worker processes: for images that fit in memory they only add copies, and on two cores they made
reading several times slower.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from convoy import readers, shards
from convoy.errors import DataRefused
from convoy.files import read_json
from convoy.readers import Reader
from convoy.recipe import Recipe
from convoy.seeds import seed_of
from convoy.shards import Places, Stored
from convoy.splits import Split

Batch = tuple[Tensor, Tensor]
EVALUATION_BATCH = 256
"""Images at once where nothing is learnt: the answers do not depend on it."""


def read_split(files: Mapping[str, str], split: Split) -> tuple[Tensor, Tensor]:
    """Return a split's images (N, H, W, C) uint8 and labels (N,) int64, in a version's own order.

    `files` maps the names of a prepared dataset to where their bytes are. Raises `DataRefused` for
    files that do not belong together, and for a split without images.
    """
    where = shards.places(files)
    images = shards.gather(files, where, where.of(split))
    return torch.from_numpy(images), labels_of(files, where, split)


def labels_of(files: Mapping[str, str], where: Places, split: Split) -> Tensor:
    """Return a split's labels (N,) int64, places in the manifest's classes."""
    manifest = read_json(Path(files.get("manifest.json", "")))
    if not isinstance(manifest, dict):
        raise DataRefused("the dataset version has no manifest.json: prepare the dataset again.")
    number = {label: place for place, label in enumerate(manifest["classes"])}
    found = [number[where.stored[one].label] for one in where.of(split)]
    return torch.tensor(found, dtype=torch.int64)


def count_batches(images: int, batch_size: int, shares: int) -> int:
    """Return how many batches there are of so many images, each of them in `shares`."""
    count = -(-images // batch_size)
    rest = images - (count - 1) * batch_size
    # Too few for an image each: the batch before takes them.
    return count - 1 if count > 1 and rest < shares else count


class Batches:
    """Batches of one split, images (N, C, H, W) uint8, channels last in memory.

    With a seed, the order follows from it and the epoch alone; `chances`, one an image, has images
    drawn with replacement, each as often as its chance says. A batch comes in `parts`, one after
    another; of several processes each reads its share of every part, the one of `rank`. An epoch
    that was cut off goes on behind the part that a checkpoint speaks of (`state_dict`).
    """

    def __init__(
        self,
        reader: Reader,
        labels: Tensor,
        batch_size: int,
        seed: int | None = None,
        epoch: Callable[[], int] = lambda: 0,
        chances: Tensor | None = None,
        parts: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.reader = reader
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.chances = chances
        self.parts, self.rank, self.world = parts, rank, world
        self._done = 0
        """Parts of this epoch that were handed out."""
        self._start = 0

    def __len__(self) -> int:
        return self._count() * self.parts

    def _count(self) -> int:
        return count_batches(len(self.labels), self.batch_size, self.parts * self.world)

    def _place(self, index: int) -> range:
        """Return where in the order the images of a part are, those of this process."""
        batch, part = divmod(index, self.parts)
        start, end = self._bounds(batch)
        return range(start + part * self.world + self.rank, end, self.parts * self.world)

    def _bounds(self, batch: int) -> tuple[int, int]:
        start = batch * self.batch_size
        last = batch == self._count() - 1
        return start, len(self.labels) if last else start + self.batch_size

    def share(self, index: int) -> float:
        """Return what the mean loss of a part counts in its batch, 1 where all are as large."""
        start, end = self._bounds(index // self.parts)
        return len(self._place(index)) * self.parts * self.world / (end - start)

    def order(self) -> Tensor:
        """Return the numbers (N,) of this epoch's images."""
        count = len(self.labels)
        if self.seed is None:
            return torch.arange(count)
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch()))
        if self.chances is not None:
            return torch.multinomial(self.chances, count, replacement=True, generator=generator)
        return torch.randperm(count, generator=generator)

    def part(self, index: int, order: Tensor | None = None) -> Tensor:
        """Return the numbers of the images in part `index` of this epoch, for this process."""
        here = self._place(index)
        order = self.order() if order is None else order
        return order[here.start : here.stop : here.step]

    def __iter__(self) -> Iterator[Batch]:
        start, self._start = self._start, 0
        order = self.order().to(self.labels.device)
        chosen = [self.part(index, order) for index in range(start, len(self))]
        for number, batch in enumerate(self._read(chosen), start + 1):
            self._done = number
            yield batch

    def _read(self, chosen: list[Tensor]) -> Iterator[Batch]:
        def read(numbers: Tensor) -> Batch:
            return self.reader.read(numbers), self.labels[numbers]

        if self.reader.kind == "device":
            yield from map(read, chosen)
            return
        with ThreadPoolExecutor(1, "reader") as ahead:
            coming: Future[Batch] | None = None
            for numbers in chosen:
                ready, coming = coming, ahead.submit(read, numbers)
                if ready:
                    yield ready.result()
            if coming:
                yield coming.result()

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._start = state["done"] % len(self)


class DataModule(pl.LightningDataModule):
    """Train and val of a dataset version; the test split is read by evaluation alone."""

    def __init__(
        self,
        files: Mapping[str, str],
        recipe: Recipe,
        seed: int,
        kind: readers.Kind | None = None,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.files = files
        self.recipe = recipe
        self.seed = seed
        self.kind = kind
        """Where images are read from; None lets their size and the free memory decide."""
        self.parts = parts
        self._where = shards.places(files)
        self.labels = {split: labels_of(files, self._where, split) for split in ("train", "val")}

    def steps(self, devices: int = 1) -> int:
        """Return how many optimizer steps a whole training takes on so many devices."""
        images, shares = len(self.labels["train"]), self.parts * devices
        return self.recipe.epochs * count_batches(images, self.recipe.batch_size, shares)

    def class_weights(self) -> list[float] | None:
        """Return what an image of each class counts where the recipe balances by weights.

        It is the inverse of the class's share of the training images: 1 where all are as many.
        """
        if self.recipe.balance != "weights":
            return None
        return self._scarcity().tolist()

    def _scarcity(self) -> Tensor:
        counts = torch.bincount(self.labels["train"])
        return len(self.labels["train"]) / (len(counts) * counts.clamp(min=1))

    def stored(self, split: Split, number: int) -> Stored:
        """Return what is known of an image of a split."""
        return self._where.stored[int(self._where.of(split)[number])]

    def train_dataloader(self) -> Batches:
        return self._batches("train", self.recipe.batch_size, self.seed, self.parts)

    def val_dataloader(self) -> Batches:
        return self._batches("val", EVALUATION_BATCH)

    def _batches(
        self, split: Split, batch_size: int, seed: int | None = None, parts: int = 1
    ) -> Batches:
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer else torch.device("cpu")
        reader = readers.open_split(self.files, self._where, split, device, self.kind)
        labels = self.labels[split]
        chances = None
        if seed is not None and self.recipe.balance == "sampling":
            chances = self._scarcity()[labels]
        return Batches(
            reader,
            labels.to(device) if reader.kind == "device" else labels,
            batch_size,
            seed,
            lambda: self.trainer.current_epoch if self.trainer else 0,
            chances,
            parts,
            trainer.global_rank if trainer else 0,
            trainer.world_size if trainer else 1,
        )
