"""What a network said of each image of val and test, kept as a file with its run.

Every figure follows from it without the network: the metrics, calibration, mistakes, and what two
runs differ in. Validation is kept because a temperature is fitted to it, and to nothing else.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.evaluation.refusals import refuse_unscorable
from convoy.files import write_atomically

FILE = "predictions.npz"
_FIELDS = ("probabilities", "labels", "images")
_KEYS = {"classes", *(f"{split}_{field}" for split in ("test", "val") for field in _FIELDS)}


@dataclass(frozen=True, eq=False)
class Scored:
    """One network on one split, an entry an image, in the order of the split.

    Raises `DataRefused` for what is not a distribution, a label and an image each.
    """

    probabilities: NDArray[np.float32]
    """(N, C) by class, in the order of `classes`."""
    labels: NDArray[np.int64]
    """(N,) places in `classes`."""
    images: NDArray[np.str_]
    """(N,) the contents' hashes, by which the dataset knows an image."""
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse_unscorable(self.probabilities, self.labels, self.classes)
        if self.images.shape != self.labels.shape or self.images.dtype.kind != "U":
            raise DataRefused(
                f"The images are {self.images.shape} of {self.images.dtype} and the labels "
                f"{self.labels.shape}; give each image the hash of its content as text."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image (N,); of equal ones the first."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Which images (N,) the network is right about."""
        return self.predicted == self.labels

    @cached_property
    def digest(self) -> str:
        """A text that is equal exactly where images, their order and their labels' names are.

        It names what was measured on. Two digests that are equal allow a comparison image by image,
        whatever order each network has its classes in.
        """
        used, places = np.unique(self.labels, return_inverse=True)
        names = [self.classes[label] for label in used]
        order = np.argsort(np.argsort(names))
        images = np.char.encode(self.images, "ascii")
        head = json.dumps([sorted(names), len(self), images.dtype.itemsize])
        parts = (head.encode(), images.tobytes(), order[places].astype("<i8").tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()


@dataclass(frozen=True, eq=False)
class Predictions:
    """One network on the two splits that it did not learn from."""

    test: Scored
    val: Scored

    def __post_init__(self) -> None:
        if self.test.classes != self.val.classes:
            raise DataRefused(
                f"The classes of test are {', '.join(self.test.classes)}, those of val "
                f"{', '.join(self.val.classes)}; score both with one network."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        return self.test.classes

    def save(self, path: Path) -> None:
        """Write them to `path`, as a whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {"classes": np.array(self.classes)}
        for split, scored in (("test", self.test), ("val", self.val)):
            arrays[f"{split}_probabilities"] = scored.probabilities.astype(np.float32, copy=False)
            arrays[f"{split}_labels"] = scored.labels.astype(np.int64, copy=False)
            arrays[f"{split}_images"] = np.char.encode(scored.images, "ascii")
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Return what `save` wrote. Raises `DataRefused` for every other file, and for none."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                arrays = dict(kept)
        except FileNotFoundError:
            raise DataRefused(f"{path} is missing: {_MEND}.") from None
        except (OSError, EOFError, ValueError, BadZipFile, TypeError, AttributeError) as error:
            raise DataRefused(f"{path} is damaged ({_one_line(error)}): {_MEND}.") from error
        if arrays.keys() != _KEYS:
            differing = ", ".join(sorted(arrays.keys() ^ _KEYS))
            raise DataRefused(f"{path} lacks or has in excess {differing}: {_MEND}.")
        try:
            return cls(_scored(arrays, "test"), _scored(arrays, "val"))
        except (DataRefused, UnicodeDecodeError, TypeError) as error:
            words = str(error).rstrip(".")
            raise DataRefused(f"{path} cannot be used: {words}; {_MEND}.") from error


_MEND = "delete it and run again to have the network scored anew"


def _scored(arrays: Mapping[str, NDArray[Any]], split: str) -> Scored:
    probabilities, labels, images = (arrays[f"{split}_{field}"] for field in _FIELDS)
    classes = tuple(arrays["classes"].astype(np.str_).reshape(-1).tolist())
    return Scored(probabilities, labels, np.char.decode(images, "ascii"), classes)


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
