"""IDX files as tests need them: whole ones."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def idx(values: NDArray[np.uint8]) -> bytes:
    """Return an array as an IDX file, not gzipped."""
    dimensions = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes((0, 0, 8, values.ndim)) + dimensions + values.tobytes()


def pictures(count: int, height: int = 5, width: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Return random images (N, H, W)."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, height, width), np.uint8)


def write_pair(
    folder: Path, part: str, labels: Sequence[int], end: str = ".gz", seed: int = 0
) -> NDArray[np.uint8]:
    """Write `<part>images-idx3-ubyte` and its labels; return the images (N, H, W)."""
    images = pictures(len(labels), seed=seed)
    for name, values in (("images-idx3", images), ("labels-idx1", np.array(labels, np.uint8))):
        content = idx(values)
        if end == ".gz":
            content = gzip.compress(content, mtime=0)
        (folder / f"{part}{name}-ubyte{end}").write_bytes(content)
    return images
