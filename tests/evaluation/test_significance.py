"""The interval and the paired test against scipy's, and against values known by heart."""

from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped, unused-ignore]

from convoy.errors import DataRefused
from convoy.evaluation.significance import mcnemar, wilson_interval


def answers(
    both: int, challenger_only: int, champion_only: int, neither: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    counts = [both, challenger_only, champion_only, neither]
    challenger = np.repeat([True, True, False, False], counts)
    return challenger, np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (9312, 10000)]
)
def test_the_interval_is_wilsons(successes: int, trials: int, confidence: float) -> None:
    theirs = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    ours = wilson_interval(successes, trials, confidence)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours[0] <= successes / trials <= ours[1] <= 1


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"),
    [(0, 0, 0.95), (-1, 10, 0.95), (11, 10, 0.95), (5, 10, 0.0), (5, 10, 1.0)],
)
def test_impossible_counts_have_no_interval(successes: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"impossible|between 0 and 1"):
        wilson_interval(successes, trials, confidence)


def test_the_test_is_the_exact_binomial_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        size = int(random.integers(1, 3000))
        challenger = random.random(size) < random.uniform(0.2, 0.9)
        champion = random.random(size) < random.uniform(0.2, 0.9)
        ours = mcnemar(challenger, champion)
        discordant = ours.challenger_only + ours.champion_only
        assert ours.gain == pytest.approx(challenger.mean() - champion.mean(), abs=1e-12)
        if discordant:
            better = binomtest(ours.challenger_only, discordant, alternative="greater").pvalue
            worse = binomtest(ours.challenger_only, discordant, alternative="less").pvalue
            assert ours.p_better == pytest.approx(better, rel=1e-9, abs=1e-300)
            assert ours.p_worse == pytest.approx(worse, rel=1e-9, abs=1e-300)


def test_small_cases_come_out_as_by_hand() -> None:
    ours = mcnemar(*answers(both=10, challenger_only=5, champion_only=0, neither=5))
    assert (ours.gain, ours.challenger_only, ours.champion_only) == (0.25, 5, 0)
    assert (ours.p_better, ours.p_worse) == (1 / 32, 1.0)
    ours = mcnemar(*answers(both=0, challenger_only=1, champion_only=3, neither=0))
    assert (ours.gain, ours.p_better, ours.p_worse) == (-0.5, 15 / 16, 5 / 16)


def test_images_that_both_got_right_or_wrong_change_nothing_but_the_gain() -> None:
    few, many = mcnemar(*answers(1, 7, 3, 1)), mcnemar(*answers(1000, 7, 3, 1000))
    assert (few.p_better, few.p_worse) == (many.p_better, many.p_worse)
    assert few.gain > many.gain


def test_equal_networks_are_neither_better_nor_worse() -> None:
    correct = np.array([True, False, True])
    ours = mcnemar(correct, correct)
    assert (ours.gain, ours.p_better, ours.p_worse) == (0, 1, 1)


def test_swapping_the_two_swaps_better_and_worse() -> None:
    challenger, champion = answers(5, 40, 23, 5)
    one, other = mcnemar(challenger, champion), mcnemar(champion, challenger)
    assert (one.p_better, one.p_worse) == (other.p_worse, other.p_better)


@pytest.mark.parametrize("champion_only", [0, 10_000, 24_800, 25_000, 25_400])
def test_fifty_thousand_differing_answers_neither_overflow_nor_take_long(
    champion_only: int,
) -> None:
    start = perf_counter()
    ours = mcnemar(*answers(0, 25_000, champion_only, 0))
    assert perf_counter() - start < 2
    discordant = 25_000 + champion_only
    better = binomtest(25_000, discordant, alternative="greater").pvalue
    assert ours.p_better == pytest.approx(better, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(
    ("challenger", "champion", "says"),
    [
        (np.ones(3, bool), np.ones(4, bool), r"\(3,\) and the champion's \(4,\)"),
        (np.ones((3, 1), bool), np.ones((3, 1), bool), r"\(3, 1\)"),
        (np.ones(0, bool), np.ones(0, bool), "0 images"),
        (np.ones(3, int), np.ones(3, bool), "challenger's answers are int64"),
        (np.ones(3, bool), np.ones(3), "champion's answers are float64"),
    ],
)
def test_answers_that_cannot_be_paired_are_refused(
    challenger: NDArray[np.bool_], champion: NDArray[np.bool_], says: str
) -> None:
    with pytest.raises(DataRefused, match=says):
        mcnemar(challenger, champion)
