"""Predictions that were never a network's, for tests of what is computed from them."""

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.predictions import Predictions, Scored


def scored(
    images: int = 200, classes: int = 5, seed: int = 0, skill: float = 3.0, start: int = 0
) -> Scored:
    """Random probabilities that are right the more often, the more `skill`."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    scores = random.normal(size=(images, classes))
    scores[np.arange(images), labels] += skill
    exponentials = np.exp(2 * scores)
    shares = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return Scored(shares, labels, contents(images, start), names(classes))


def predictions(
    images: int = 200, classes: int = 5, seed: int = 0, skill: float = 3.0
) -> Predictions:
    test = scored(images, classes, seed, skill)
    return Predictions(test, scored(images, classes, seed + 1, skill, start=images))


def contents(images: int, start: int = 0) -> NDArray[np.str_]:
    return np.array([f"{number:064x}" for number in range(start, start + images)])


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(classes))
