"""How fast a network answers: one image at a time, and as many at once as serve it best."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

CALLS = (20, 200)
"""How many calls of one image are timed, at least and at most."""
SECONDS = 0.15
"""How long those calls go on beyond the least of them."""
BATCHES = (1, 4, 16, 64, 256, 1024)
WORTH = 1.05
"""What a larger batch must gain to be the better one; the search ends where it does not."""
SEARCH_SECONDS = 0.25
"""After which the search for the best batch begins no other."""
SLOW = 0.05
"""Seconds of a call of which one more is enough: what disturbs it is short beside it."""

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Latency:
    """Seconds that one image alone takes."""

    p50: float
    p95: float
    calls: int


@dataclass(frozen=True)
class Throughput:
    """Images a second where they come many at once."""

    images_per_second: float
    batch: int
    by_batch: dict[int, float]
    """Images a second for each batch size that was tried."""


def latency(predict: Predict, image: Tensor) -> Latency:
    """Return how long `image` (1, ...) takes, over at least 20 calls.

    Some calls before them are not counted: they pay for memory, caches and the choice of kernels.
    """
    least, most = CALLS
    for _ in range(3):
        seconds_of(predict, image)
    seconds: list[float] = []
    began = perf_counter()
    while len(seconds) < least or (len(seconds) < most and perf_counter() - began < SECONDS):
        seconds.append(seconds_of(predict, image))
    p50, p95 = np.percentile(seconds, [50, 95])
    return Latency(float(p50), float(p95), len(seconds))


def throughput(predict: Predict, images: Tensor) -> Throughput:
    """Return the images a second at the batch size that gives the most of them.

    Batches of `images` (N, ...), as often as it takes, are tried from small to large, until one
    gains nothing on the one before, memory runs out or a quarter of a second is over.
    """
    rates: dict[int, float] = {}
    best, began = 0, perf_counter()
    for size in BATCHES:
        try:
            rates[size] = size / _shortest(predict, repeated(images, size))
        except (torch.OutOfMemoryError, MemoryError):
            if not rates:
                raise
            break
        if best and rates[size] <= WORTH * rates[best]:
            break
        best = size
        if perf_counter() - began > SEARCH_SECONDS:
            break
    return Throughput(rates[best], best, rates)


def repeated(images: Tensor, count: int) -> Tensor:
    """Return `count` images: these, again and again."""
    return images[torch.arange(count, device=images.device) % len(images)]


def seconds_of(predict: Predict, images: Tensor) -> float:
    """Return the seconds that predicting `images` takes, until the answers are there."""
    start = perf_counter()
    answers = predict(images)
    # An accelerator answers before it has computed; the CPU does not.
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None and answers.device.type == accelerator.type:
        torch.accelerator.synchronize(answers.device)
    return perf_counter() - start


def _shortest(predict: Predict, images: Tensor) -> float:
    # Whatever else the machine does can only add: the shortest call has the least of it.
    calls = 1 if seconds_of(predict, images) > SLOW else 3
    return min(seconds_of(predict, images) for _ in range(calls))
