"""How far each metric would have moved with other test images, by the bootstrap.

Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13: images are drawn with
replacement, and the interval is what the middle 95 % of the replicates span.
"""

from collections.abc import Iterator

import numpy as np

from convoy.evaluation.predictions import Scored
from convoy.evaluation.weighted import Floats, Weighted

REPLICATES = 1000
SEED = 0
CONFIDENCE = 0.95
_HELD = 2**21
"""Weights that are held at once: with more images, fewer replicates come together."""

Interval = tuple[float, float]


def draws(images: int, replicates: int = REPLICATES) -> Iterator[Floats]:
    """Yield how often each image was drawn, (images, some of the replicates), until all are there.

    The same number of images gives the same draws: replicates of two networks are pairs.
    """
    random = np.random.default_rng([SEED, images])
    together = max(1, _HELD // images)
    for start in range(0, replicates, together):
        count = min(together, replicates - start)
        weights = np.empty((images, count))
        for column in range(count):
            drawn = random.integers(0, images, images)
            weights[:, column] = np.bincount(drawn, minlength=images)
        yield weights


def bootstrap(scored: Scored, replicates: int = REPLICATES) -> dict[str, Interval]:
    """Return the 95 % interval of each metric, and of `<metric>/<class>`, as (low, high).

    Left out is what is not defined: a class without images, and everything of a single image, of
    which there are no others to draw.
    """
    if len(scored) < 2:
        return {}
    weighted = Weighted(scored.probabilities, scored.labels)
    parts = [weighted.at(weights) for weights in draws(len(scored), replicates)]
    found = {name: np.concatenate([part.one[name] for part in parts]) for name in parts[0].one}
    intervals = {name: _middle(values) for name, values in found.items()}
    for name in parts[0].by_class:
        values = np.concatenate([part.by_class[name] for part in parts], axis=1)
        for label, row in zip(scored.classes, values, strict=True):
            intervals[f"{name}/{label}"] = _middle(row)
    return {name: interval for name, interval in intervals.items() if interval}


def _middle(values: Floats) -> Interval | None:
    """Return what the middle of the values spans, those that are not defined left out."""
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
