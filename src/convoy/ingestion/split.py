"""Which split an image belongs to follows from its pixels alone.

So a growing dataset never moves an image from test to train, the same image twice is never in two
splits, and adding the same files again changes nothing.
"""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def content_hash(image: NDArray[np.uint8]) -> str:
    """Return the sha256 of an image's (H, W, C) pixels and shape."""
    shape = "x".join(map(str, image.shape))
    return hashlib.sha256(shape.encode() + b":" + image.tobytes()).hexdigest()


def split_of(content: str, val: float, test: float) -> Split:
    """Return the split of a content hash, for shares of `val` and `test` images."""
    position = int(content[:16], 16) / 2**64
    if position < test:
        return "test"
    return "val" if position < test + val else "train"
