"""The three parts of a dataset, and how an image comes into one of them."""

from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_of(content: bytes, val: float, test: float) -> Split:
    """Return the split of a content hash, for shares of `val` and `test` images.

    It follows from the image alone, so a growing dataset never moves an image from test to train.
    """
    return at(position(content), val, test)


def position(content: bytes) -> float:
    """Return where a content hash falls in 0..1: test lies lowest, then val, then train."""
    return int.from_bytes(content[:8], "big") / 2**64


def at(position: float, val: float, test: float) -> Split:
    """Return the split at a position in 0..1."""
    if position < test:
        return "test"
    return "val" if position < test + val else "train"
