"""Networks in pairs on the same test images: which is better, by how much, and how sure that is.

One training each is compared by the exact McNemar test, which speaks of these two networks.
Trainings of one recipe with several seeds stand for the recipe: their mean is compared, by a
bootstrap over images and seeds. `docs/adr/0023-comparing-runs.md` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.evaluation.significance import holm, mcnemar, paired_differences, paired_interval

ALPHA = 0.05
"""The chance of calling noise a difference anywhere among the pairs, as the 95 % of intervals."""
FINE = 2000
"""Images from which on a hundredth of a point means something."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A network, or several that one recipe made with different seeds."""

    name: str
    correct: NDArray[np.bool_]
    """(seeds, N): which images each training is right about."""

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


@dataclass(frozen=True)
class Pair:
    """Two entrants on the same images; the first is the more accurate, or as accurate."""

    first: str
    second: str
    gain: float
    """Accuracy of the first less that of the second, in the mean over seeds."""
    low: float
    """The lower end of the gain's 95 % interval, of a paired bootstrap."""
    high: float
    p: float
    """The chance of a difference as large as this, were the two equally good."""
    corrected: float
    """`p` corrected for the number of pairs, by Holm's method."""
    seeds: tuple[int, int]
    images: int
    first_only: int | None
    """With one training each: the images that the first alone is right about."""
    second_only: int | None

    @property
    def differs(self) -> bool:
        return self.corrected <= ALPHA

    @property
    def words(self) -> str:
        """The pair in a sentence without its full stop."""
        if self.differs:
            return f"{self.first} is better than {self.second} ({self._amount})"
        return (
            f"no evidence of a difference between {self.first} and {self.second} ({self._amount})"
        )

    @property
    def _amount(self) -> str:
        if self.low == self.gain == self.high == 0:
            return "both are right about the same images"
        low, high = (points(value, self.images) for value in (self.low, self.high))
        seeds = f" in the mean of {self.seeds[0]} and {self.seeds[1]} seeds"
        said = "" if self.seeds == (1, 1) else seeds
        return f"{points(self.gain, self.images, '+')} points{said}, 95 % {low} to {high}"


def points(share: float, images: int, sign: str = "") -> str:
    """Return a share as percentage points, with as many digits as so many images are worth."""
    digits = 2 if images >= FINE else 1
    return f"{round(100 * share, digits) + 0.0:{sign}.{digits}f}"  # adding 0 drops a zero's sign


def compare_pairs(entrants: Sequence[Entrant], seed: int) -> tuple[Pair, ...]:
    """Compare each two of `entrants`, in their order; `seed` is the bootstrap's.

    Raises `DataRefused` for fewer than two images, which can tell no two networks apart.
    """
    for entrant in entrants:
        if entrant.correct.shape[1] < 2 and len(entrants) > 1:
            raise DataRefused(
                f"the test split has {entrant.correct.shape[1]} image, which can tell no two "
                f"networks apart: add labelled images to the dataset, or raise its `test` share."
            )
    found = [_pair(*sides, seed) for sides in combinations(entrants, 2)]
    corrected = holm([pair.p for pair in found])
    return tuple(replace(pair, corrected=p) for pair, p in zip(found, corrected, strict=True))


def _pair(one: Entrant, other: Entrant, seed: int) -> Pair:
    first, second = (one, other) if one.accuracy >= other.accuracy else (other, one)
    differences = paired_differences(first.correct, second.correct, seed)
    low, high = paired_interval(differences)
    seeds = len(first.correct), len(second.correct)
    only: tuple[int | None, int | None] = (None, None)
    if seeds == (1, 1):
        test = mcnemar(first.correct[0], second.correct[0])
        p, only = test.p_different, (test.challenger_only, test.champion_only)
    else:
        p = _two_sided(differences)
    gain, images = first.accuracy - second.accuracy, first.correct.shape[1]
    return Pair(first.name, second.name, gain, low, high, p, p, seeds, images, *only)


def _two_sided(differences: NDArray[np.float64]) -> float:
    """Return how rarely the bootstrap's differences lie on the other side of 0, either way."""
    beyond = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (1 + int(beyond)) / (1 + len(differences)))
