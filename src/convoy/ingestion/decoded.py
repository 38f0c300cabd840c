"""Images as they come out of a source: decoded, hashed and resized, on all cores, in order."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from convoy.decoding import Unreadable, converted, decode, format_of
from convoy.findings import Finding
from convoy.ingestion.near import signatures
from convoy.preprocessing import resize
from convoy.settings import Dataset
from convoy.sources.source import Encoded, LabelledImage

BATCH = 64
"""Images that a thread takes at once: enough to share what each call costs."""
SMALL = 256 * 256
"""Pixels up to which images wait to be resized together; larger ones would fill the memory."""
HASHED_SLOWLY = 256 * 256
"""Pixels up to which `content_hash` is SHA-256: with another number images would be others."""


class Decoded(NamedTuple):
    """An image with all that is kept of it."""

    source: LabelledImage
    content: bytes
    """The hash of the decoded pixels and their shape (32 bytes): `content_hash`."""
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


def content_hash(image: NDArray[np.uint8]) -> bytes:
    """Return a hash of an image's (H, W, C) pixels and shape, 32 bytes.

    That is SHA-256, which every Python has, but of large images BLAKE3: of a photograph's pixels
    SHA-256 would take nearly half as long as decoding them.
    """
    shape = "x".join(map(str, image.shape)).encode() + b":"
    height, width, _ = image.shape
    found = hashlib.sha256(shape) if height * width <= HASHED_SLOWLY else _blake3(shape)
    found.update(np.ascontiguousarray(image).data)
    return found.digest()


def _blake3(data: bytes) -> Any:
    from blake3 import blake3  # a bare training machine lacks it, and ingests no large photographs

    return blake3(data)


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
    small: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
    resized: dict[int, NDArray[np.uint8]] = {}
    for entry in entries:
        if isinstance(entry, Finding):
            found.append(entry)
            continue
        if isinstance(entry.image, Encoded) and is_known(entry.image.digest):
            found.append(Known(entry))
            continue
        try:
            image, form = _open(entry, dataset)
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
        place = len(found)
        height, width, _ = image.shape
        found.append(_Opened(entry, content_hash(image), form, width, height))
        if height * width <= SMALL:
            small.setdefault(image.shape, []).append((place, image))
        else:
            resized[place] = _resized(image.reshape(1, *image.shape), dataset.image_size)[0]
    for alike in small.values():
        together = _resized(np.stack([image for _, image in alike]), dataset.image_size)
        resized.update(zip((place for place, _ in alike), together, strict=True))
    if resized:
        order = sorted(resized)
        marks = signatures(np.stack([resized[place] for place in order]))
        for place, mark in zip(order, marks, strict=True):
            opened = cast(_Opened, found[place])
            found[place] = Decoded(*opened, resized[place], mark)
    return cast(list[Decoded | Known | Finding], found)


def _open(entry: LabelledImage, dataset: Dataset) -> tuple[NDArray[np.uint8], str]:
    if not isinstance(entry.image, Encoded):
        return converted(entry.image, dataset.channels), ""
    try:
        data = entry.image.read()
    except OSError as error:
        raise Unreadable(
            entry.path, "damaged", f"cannot be read ({error.strerror})", "allow reading it"
        ) from error
    return decode(data, dataset.channels, entry.path), format_of(data) or ""


def _resized(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return images (N, H, W, C) as (N, side, side, C), by the one resize."""
    if images.shape[1:3] == (side, side):
        return images
    small = resize(torch.from_numpy(images).permute(0, 3, 1, 2), side)
    return small.permute(0, 2, 3, 1).contiguous().numpy()
