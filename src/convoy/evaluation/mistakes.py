"""What a network mistakes: its most confident errors, and the classes that it takes for others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.predictions import Scored


@dataclass(frozen=True)
class Pair:
    """Images of one class that are taken for one other."""

    true: int
    predicted: int
    """Both are places in the classes."""
    numbers: NDArray[np.int64]
    """Which images of the split, the most confident mistake first."""
    support: int
    """Images of the true class."""


def worst_mistakes(scored: Scored) -> NDArray[np.int64]:
    """Return the numbers of the mistaken images, the most confident mistake first."""
    wrong = np.flatnonzero(~scored.correct)
    # Stable, so that equal ones keep the split's order.
    return wrong[np.argsort(-confidence(scored)[wrong], kind="stable")]


def confused_pairs(scored: Scored) -> list[Pair]:
    """Return each class with each that its images are taken for, the most frequent pair first.

    Of equally frequent ones those come first that are a larger share of their class.
    """
    wrong = worst_mistakes(scored)
    support = np.bincount(scored.labels, minlength=len(scored.classes))
    found: dict[tuple[int, int], list[int]] = {}
    for number in wrong.tolist():
        key = int(scored.labels[number]), int(scored.predicted[number])
        found.setdefault(key, []).append(number)
    pairs = [
        Pair(true, predicted, np.array(numbers), int(support[true]))
        for (true, predicted), numbers in found.items()
    ]
    return sorted(
        pairs, key=lambda pair: (-len(pair.numbers), pair.support, pair.true, pair.predicted)
    )


def confidence(scored: Scored) -> NDArray[np.float32]:
    """Return the probability (N,) of the class that each image is taken for."""
    found: NDArray[np.float32] = scored.probabilities.max(axis=1)
    return found
