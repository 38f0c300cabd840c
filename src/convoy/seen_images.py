"""Which images a registered version has seen in training: what it may not be tested on again.

Splits follow from content, so within one version none is in two; but a source with official splits,
or other shares in params.yaml, can bring into test what an older version trained on.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convoy.errors import NotReproducible
from convoy.shards import places
from convoy.splits import Split

NAME = "seen_images.npy"
DIGITS = 16
"""Bytes of each content hash that are kept: half the file, and still none alike by chance."""


def contents(files: Mapping[str, str], *splits: Split) -> NDArray[np.uint8]:
    """Return the content hashes (N, DIGITS) of some splits' images, in the version's order."""
    found = b"".join(one.content[:DIGITS] for one in places(files).stored if one.split in splits)
    return np.frombuffer(found, np.uint8).reshape(-1, DIGITS)


def write(path: Path, files: Mapping[str, str]) -> None:
    """Write what a training on this dataset version sees: train, and val to choose an epoch by."""
    np.save(path, contents(files, "train", "val"), allow_pickle=False)


def seen(path: Path, files: Mapping[str, str]) -> NDArray[np.bool_] | None:
    """Return which test images (N,) of a dataset version are among those that `path` lists.

    None where there is no such file: a version that was registered before there was one.
    """
    if not path.is_file():
        return None
    known = np.load(path, allow_pickle=False)
    if known.dtype != np.uint8 or known.shape[1:] != (DIGITS,):
        raise NotReproducible(f"{path.name} holds {known.dtype} {known.shape}: no content hashes.")
    before = {row.tobytes() for row in known}
    tested = contents(files, "test")
    return np.fromiter((row.tobytes() in before for row in tested), np.bool_, len(tested))
