"""How sure a number from a finite test split is: an interval for one network, a test for two.

Sources: Wilson, "Probable inference, the law of succession, and statistical inference" (1927), for
the interval; McNemar, "Note on the sampling error of the difference between correlated proportions"
(1947), in its exact binomial form, for two networks on the same images; Efron and Tibshirani, "An
introduction to the bootstrap" (1993), section 13.3, for the interval of a difference; Holm, "A
simple sequentially rejective multiple test procedure" (1979), for many tests at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused

FRACTION_BITS = 128  # fixed-point digits; a million roundings still leave over a hundred right


@dataclass(frozen=True)
class Paired:
    """Two networks on the same images; only images that one alone got right tell them apart."""

    gain: float
    """Accuracy of the challenger less that of the champion."""
    challenger_only: int
    champion_only: int
    p_better: float
    """The chance of a lead as large as this or larger, were the two equally good."""
    p_worse: float
    """The chance of a lead as small as this or smaller, were the two equally good."""

    @property
    def p_different(self) -> float:
        """The chance of a difference as large as this either way, were the two equally good."""
        return min(1.0, 2 * min(self.p_better, self.p_worse))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the true rate lies, as (low, high); `ValueError` for impossible counts.

    Unlike the textbook interval it stays within [0, 1] and has a width at 0 and at all successes.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials are impossible")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    margin = z * sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    # At the two ends the formula gives 0 and 1, but its rounding may not.
    low = 0.0 if successes == 0 else (centre - margin) / scale
    high = 1.0 if successes == trials else (centre + margin) / scale
    return low, high


def mcnemar(challenger_correct: NDArray[np.bool_], champion_correct: NDArray[np.bool_]) -> Paired:
    """Compare two networks by which of the same images (N,) each got right.

    `DataRefused` unless both are non-empty, one-dimensional, boolean and of the same length.
    """
    _refuse_unpaired(challenger_correct, champion_correct)
    challenger_only = int(np.count_nonzero(challenger_correct & ~champion_correct))
    champion_only = int(np.count_nonzero(champion_correct & ~challenger_correct))
    discordant = challenger_only + champion_only
    return Paired(
        gain=(challenger_only - champion_only) / len(challenger_correct),
        challenger_only=challenger_only,
        champion_only=champion_only,
        p_better=_at_least(challenger_only, discordant),
        p_worse=_at_least(champion_only, discordant),
    )


def paired_differences(
    challenger_correct: NDArray[np.bool_],
    champion_correct: NDArray[np.bool_],
    seed: int,
    replicates: int = 10_000,
) -> NDArray[np.float64]:
    """Return the bootstrap's differences of accuracy (replicates,), the images drawn in pairs.

    Each side is (N,), or (seeds, N) for the trainings of one recipe with several seeds, whose mean
    it then stands for: `docs/adr/0023-comparing-runs.md` says how seeds count. The work and the
    memory do not grow with N, since images on which the sides differ alike are drawn together.
    """
    sides = np.atleast_2d(challenger_correct), np.atleast_2d(champion_correct)
    _refuse_unpaired(sides[0][0], sides[1][0])
    random = np.random.default_rng(seed)
    # In whole images over both numbers of seeds, so that equal differences are equal exactly.
    images = len(sides[0]) * len(sides[1]), sides[0].shape[1]
    lead = sides[0].sum(axis=0) * len(sides[1]) - sides[1].sum(axis=0) * len(sides[0])
    values, counts = np.unique(lead, return_counts=True)
    drawn = random.multinomial(images[1], counts / counts.sum(), size=replicates) @ values
    found: NDArray[np.float64] = drawn / (images[0] * images[1])
    for side in sides:
        if len(side) > 1:
            error = side.mean(axis=1).std(ddof=1) / sqrt(len(side))
            found += error * random.standard_t(len(side) - 1, size=replicates)
    return found


def paired_interval(
    differences: NDArray[np.float64], confidence: float = 0.95
) -> tuple[float, float]:
    """Return where the true difference lies, as (low, high), from the bootstrap's."""
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being so many, in their order.

    Where all that are at most alpha are taken for differences, the chance that any of these is none
    is at most alpha, however the tests depend on each other.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _refuse_unpaired(challenger_correct: NDArray[Any], champion_correct: NDArray[Any]) -> None:
    shapes = challenger_correct.shape, champion_correct.shape
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise DataRefused(
            f"The challenger's answers have the shape {shapes[0]} and the champion's {shapes[1]}; "
            "score both on the same images, one true or false each."
        )
    if not len(challenger_correct):
        raise DataRefused("The test split has 0 images; comparing two networks takes at least one.")
    for name, correct in (("challenger", challenger_correct), ("champion", champion_correct)):
        if correct.dtype != np.bool_:
            raise DataRefused(
                f"The {name}'s answers are {correct.dtype}; give true or false for each image "
                "(predicted == labels)."
            )


def _at_least(heads: int, tosses: int) -> float:
    """Return the probability of `heads` or more in that many tosses of a fair coin."""
    if heads == 0:
        return 1.0
    # Big integers neither overflow nor cancel, and Python divides them correctly rounded.
    if 2 * heads < tosses:
        all_outcomes = 1 << (tosses + FRACTION_BITS)
        return (all_outcomes - _outcomes_at_least(tosses - heads + 1, tosses)) / all_outcomes
    return _outcomes_at_least(heads, tosses) / (1 << (tosses + FRACTION_BITS))


def _outcomes_at_least(heads: int, tosses: int) -> int:
    """Return comb(tosses, heads) + comb(tosses, heads + 1) + ..., times 2 ** FRACTION_BITS.

    From the middle on the terms only shrink, so each is kept as a fixed-point fraction of the
    first: the sum ends where a term rounds to nothing, and only one binomial is ever large.
    """
    term = total = 1 << FRACTION_BITS
    for k in range(heads, tosses):
        term = term * (tosses - k) // (k + 1)
        if not term:
            break
        total += term
    return comb(tosses, heads) * total
