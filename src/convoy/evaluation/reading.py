"""A split for evaluation: read from the disk a batch at a time, whatever its size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convoy import readers, shards
from convoy.datamodule import EVALUATION_BATCH, labels_of
from convoy.readers import Reader
from convoy.splits import Split


@dataclass(frozen=True)
class SplitImages:
    """The images of one split, in its order; nothing of their pixels is held."""

    labels: NDArray[np.int64]
    """(N,) places in the dataset's classes."""
    contents: NDArray[np.str_]
    """(N,) the hashes of their contents."""
    reader: Reader

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, numbers: Sequence[int] | NDArray[np.int64] | range) -> Tensor:
        """Return the images at these places in the split, (len(numbers), H, W, C) uint8."""
        chosen = torch.as_tensor(np.asarray(numbers, np.int64))
        return self.reader.read(chosen).permute(0, 2, 3, 1)

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator[Tensor]:
        """Yield all images, `size` at a time, as `read` returns them."""
        for start in range(0, len(self), size):
            yield self.read(range(start, min(start + size, len(self))))


def open_images(files: Mapping[str, str], split: Split) -> SplitImages:
    """Return a split of a dataset version; `files` maps its names to where their bytes are.

    Raises `DataRefused` for files that do not belong together, and for a split without images.
    """
    where = shards.places(files)
    reader = readers.open_split(files, where, split, torch.device("cpu"), "disk")
    contents = np.array([where.stored[one].content.hex() for one in where.of(split)])
    return SplitImages(labels_of(files, where, split).numpy(), contents, reader)
