"""The IDX format of the MNIST files: a magic number, the dimensions, the values.

After Y. LeCun, "The MNIST database of handwritten digits": two zero bytes, the type of the values
(8 for unsigned bytes), how many dimensions, each of them in four bytes, big-endian, and then the
values, the last dimension fastest. Whether a file is gzipped its first bytes say.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused

GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 8
BLOCK = 4096
"""Images that are read at a time, or as many as have `BLOCK_BYTES`."""
BLOCK_BYTES = 2**24
LARGEST = 50_000_000
"""Pixels of an image."""


def read(images: Path, labels: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield blocks of images (N, H, W, 1) with their labels (N,), in the files' order.

    Raises `DataRefused` for files that are not exactly what their headers promise, for one of them
    at its end, and before anything of the promised size is allocated.
    """
    with _opened(images, 3) as pixels, _opened(labels, 1) as numbers:
        count, height, width = pixels.shape
        if count != numbers.shape[0]:
            raise DataRefused(
                f"{images} holds {count:,} images, but {labels} {numbers.shape[0]:,} labels: bring "
                f"the two files that belong together."
            )
        if not 0 < height * width <= LARGEST or count == 0:
            raise pixels.refused(f"promises {count:,} images of {height:,} x {width:,} pixels")
        block = min(BLOCK, max(1, BLOCK_BYTES // (height * width)))
        for start in range(0, count, block):
            size = min(block, count - start)
            yield pixels.take(size, height, width, 1), numbers.take(size)
        pixels.end()
        numbers.end()


@contextmanager
def _opened(path: Path, dimensions: int) -> Iterator["_Values"]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise DataRefused(
                f"cannot read {path} ({error.strerror}): bring the file, and allow reading it."
            ) from error
        if file.peek(2)[:2] == GZIP:
            yield _Values(path, stack.enter_context(gzip.GzipFile(fileobj=file)), dimensions)
        else:
            yield _Values(path, file, dimensions)


class _Values:
    """A file's values, taken from front to back."""

    def __init__(self, path: Path, stream: io.BufferedIOBase, dimensions: int) -> None:
        self.path, self.stream, self.taken = path, stream, 0
        expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
        magic = self._read(4)
        if magic != expected:
            raise self.refused(
                f"begins with {magic.hex() or 'nothing'} instead of {expected.hex()} (unsigned "
                f"bytes in {dimensions} dimension{'s' if dimensions > 1 else ''})"
            )
        header = self._read(4 * dimensions)
        if len(header) < 4 * dimensions:
            raise self.refused("ends within its header")
        self.shape = struct.unpack(f">{dimensions}I", header)

    def take(self, *shape: int) -> NDArray[np.uint8]:
        """Return the next values, in an array that may be written to."""
        size = math.prod(shape)
        found = self._read(size)
        self.taken += len(found)
        if len(found) < size:
            raise self.refused(f"ends after {self.taken:,} of {math.prod(self.shape):,} values")
        return np.frombuffer(bytearray(found), np.uint8).reshape(shape)

    def end(self) -> None:
        """Raise `DataRefused` for anything that follows, and where gzip's checksum is wrong."""
        if self._read(1):
            raise self.refused(f"goes on after the {self.taken:,} values that it promises")

    def refused(self, reason: str) -> DataRefused:
        return DataRefused(f"{self.path} {reason}: replace it by a whole IDX file.")

    def _read(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise self.refused(f"is damaged ({error})") from error
