"""The records that one source file offers: how images come in, and how they are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convoy.findings import Finding
from convoy.settings import Dataset
from convoy.splits import Split


class Encoded(NamedTuple):
    """An image file that has not been read yet."""

    digest: bytes
    """sha256 of the file's bytes (32 bytes)."""
    read: Callable[[], bytes]
    """Return those bytes. May raise `OSError`."""


class LabelledImage(NamedTuple):
    """One image as it came in."""

    path: str
    """Where in the source it stands, for people: a file's name, a row."""
    image: Encoded | NDArray[np.uint8]
    """An image file, or pixels (H, W, C) of 1 (gray), 3 (RGB) or 4 (CMYK) channels, 0 to 255."""
    label: str
    split: Split | None = None
    """The official split, where the source has one."""
    group: str | None = None
    """Images of one group come into one split: frames of a film, photographs of a person."""


@dataclass(frozen=True)
class Source:
    """A kind of source. None of its functions ever writes to, moves or deletes an original.

    `fetch(dataset, origins, raw, memory)` brings what is at `origins` (`from` of params.yaml:
    absolute paths or addresses; empty for a source that knows where its bytes are) into the folder
    `raw`, byte for byte; what lies there already is not brought again. `raw` is versioned, so equal
    contents at `origins` must leave equal files there, whatever their times. `memory` is a folder
    that is kept between fetches and not versioned: parts of downloads, times of files.

    `read(dataset, raw)` yields what `raw` holds, in an order that follows from `raw` alone: images,
    and findings about what is no image. It raises `DataRefused` for bytes that are not what the
    source promises. The images of one call may be read from several threads.

    `fingerprint(origins)` returns a text that changes when what `fetch` would bring has, within
    seconds for 60,000 files; None where it never does, or cannot be told without bringing it.
    It raises `DataRefused` for an origin that is missing, `ConvoyError` where nobody answers.
    """

    fetch: Callable[[Dataset, tuple[str, ...], Path, Path], None]
    read: Callable[[Dataset, Path], Iterator[LabelledImage | Finding]]
    fingerprint: Callable[[tuple[str, ...]], str | None] = lambda origins: None
