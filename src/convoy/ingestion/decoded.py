"""Images as they come out of a source: decoded, hashed and resized, on all cores, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from convoy import content
from convoy.decoding import converted, read
from convoy.findings import Finding
from convoy.formats import Unreadable
from convoy.ingestion.near import signatures
from convoy.preprocessing import resize
from convoy.settings import Dataset
from convoy.sources.source import Encoded, LabelledImage

BATCH = 64
"""Images that a thread takes at once: enough to share what each call costs."""
TOGETHER = 2**21
"""Bytes of images that wait to be resized, those of one size at once: more is no faster."""


class Decoded(NamedTuple):
    """An image with all that is kept of it."""

    source: LabelledImage
    content: bytes
    """Which image it is, 32 bytes: `convoy.content`."""
    format: str
    width: int
    height: int
    pixels: NDArray[np.uint8]
    """(side, side, C), the base form of the dataset's colour."""
    signature: NDArray[np.int8]
    """(64,)"""


class Known(NamedTuple):
    """A file that was decoded for a former version."""

    source: LabelledImage


def decoded(
    entries: Iterable[LabelledImage | Finding],
    dataset: Dataset,
    is_known: Callable[[bytes], bool],
    threads: int | None = None,
) -> Iterator[Decoded | Known | Finding]:
    """Yield each entry decoded, in order; a file that cannot be is a finding.

    `is_known` tells of a file's sha256 whether its image is kept already. A few batches are under
    way at a time, whatever the number of images.
    """
    threads = threads or len(os.sched_getaffinity(0))
    waiting: deque[Future[list[Decoded | Known | Finding]]] = deque()
    entries = iter(entries)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # each of our threads resizes for itself
    try:
        with ThreadPoolExecutor(threads) as pool:
            while batch := list(islice(entries, BATCH)):
                waiting.append(pool.submit(_batch, batch, dataset, is_known))
                if len(waiting) > threads + 1:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    finally:
        torch.set_num_threads(before)


class _Opened(NamedTuple):
    entry: LabelledImage
    content: bytes
    format: str
    width: int
    height: int


def _batch(
    entries: Sequence[LabelledImage | Finding], dataset: Dataset, is_known: Callable[[bytes], bool]
) -> list[Decoded | Known | Finding]:
    found: list[Decoded | Known | Finding | _Opened] = []
    waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
    resized: dict[int, NDArray[np.uint8]] = {}
    held = 0

    def resize_all() -> None:
        for alike in waiting.values():
            places, images = zip(*alike, strict=True)
            together = _resized(np.stack(images), dataset.image_size)
            resized.update(zip(places, together, strict=True))
        waiting.clear()

    for entry in entries:
        if isinstance(entry, Finding):
            found.append(entry)
            continue
        if isinstance(entry.image, Encoded) and is_known(entry.image.digest):
            found.append(Known(entry))
            continue
        try:
            image, opened = _open(entry, dataset)
        except Unreadable as error:
            found.append(
                Finding(
                    "quarantined",
                    error.rule,
                    entry.path,
                    error.reason,
                    error.mend,
                    label=entry.label,
                )
            )
            continue
        waiting.setdefault(image.shape, []).append((len(found), image))
        found.append(opened)
        held += image.size
        if held >= TOGETHER:
            resize_all()
            held = 0
    resize_all()
    if resized:
        order = sorted(resized)
        marks = signatures(np.stack([resized[place] for place in order]))
        for place, mark in zip(order, marks, strict=True):
            found[place] = Decoded(*cast(_Opened, found[place]), resized[place], mark)
    return cast(list[Decoded | Known | Finding], found)


def _open(entry: LabelledImage, dataset: Dataset) -> tuple[NDArray[np.uint8], _Opened]:
    """Return an image's pixels, of a photograph no more than resizing takes, and what it is."""
    if not isinstance(entry.image, Encoded):
        pixels = converted(entry.image, dataset.channels)
        height, width, _ = pixels.shape
        return pixels, _Opened(entry, content.of_pixels(pixels), "", width, height)
    try:
        data = entry.image.read()
    except OSError as error:
        raise Unreadable(
            entry.path, "damaged", f"cannot be read ({error.strerror})", "allow reading it"
        ) from error
    image = read(data, dataset.channels, entry.path, dataset.image_size)
    told = (content.of_file(image, data), image.format, image.width, image.height)
    return image.pixels, _Opened(entry, *told)


def _resized(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return images (N, H, W, C) as (N, side, side, C), by the one resize."""
    if images.shape[1:3] == (side, side):
        return images
    small = resize(torch.from_numpy(images).permute(0, 3, 1, 2), side)
    return small.permute(0, 2, 3, 1).contiguous().numpy()
