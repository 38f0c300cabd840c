"""The paired bootstrap against scipy's and against simulated truth; corrections against others'."""

import tracemalloc
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap  # type: ignore[import-untyped, unused-ignore]

from convoy.errors import DataRefused
from convoy.evaluation.significance import holm, mcnemar, paired_differences, paired_interval

Answers = NDArray[np.bool_]


def answers(both: int, first_only: int, second_only: int, neither: int) -> tuple[Answers, Answers]:
    counts = [both, first_only, second_only, neither]
    first = np.repeat([True, True, False, False], counts)
    return first, np.repeat([True, False, True, False], counts)


# statsmodels 0.15.0: stats.contingency_tables.mcnemar(table, exact=True).pvalue
@pytest.mark.parametrize(
    ("table", "p"),
    [
        ((101, 121, 59, 33), 4.4344492637551645e-06),
        ((10, 5, 0, 5), 0.0625),
        ((900, 4, 6, 90), 0.75390625),
        ((0, 7, 7, 0), 1.0),
        ((8, 0, 0, 2), 1.0),
    ],
)
def test_the_test_either_way_is_statsmodels_exact_mcnemar(
    table: tuple[int, int, int, int], p: float
) -> None:
    first, second = answers(*table)
    assert mcnemar(first, second).p_different == pytest.approx(p, rel=1e-12)
    assert mcnemar(second, first).p_different == pytest.approx(p, rel=1e-12)
    if table[1] + table[2]:
        theirs = binomtest(table[1], table[1] + table[2], alternative="two-sided").pvalue
        assert theirs == pytest.approx(p, rel=1e-9)


# statsmodels 0.15.0: stats.multitest.multipletests(p, method="holm")[1]
@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        (
            [0.0121, 0.2, 0.0004, 0.7, 0.031, 0.0302, 0.011],
            [0.066, 0.4, 0.0028, 0.7, 0.1208, 0.1208, 0.066],
        ),
        ([0.03], [0.03]),
        ([], []),
        ([0.9, 0.8, 1.0], [1.0, 1.0, 1.0]),
    ],
)
def test_the_correction_for_many_tests_is_holms(p: list[float], corrected: list[float]) -> None:
    assert holm(p) == pytest.approx(corrected, abs=1e-10)


def test_the_interval_is_that_of_scipys_paired_bootstrap() -> None:
    random = np.random.default_rng(3)
    first = random.random(400) < 0.9
    second = np.where(random.random(400) < 0.8, first, random.random(400) < 0.7)
    theirs = bootstrap(
        (first.astype(float), second.astype(float)),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(4),
    ).confidence_interval
    ours = paired_interval(paired_differences(first, second, seed=1))
    # An image's worth: what the draws of chance leave of it with 10,000 replicates.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1 / 400)


def test_the_same_seed_gives_the_same_interval_and_the_sides_swap_its_signs() -> None:
    first, second = answers(70, 14, 6, 10)
    once = paired_differences(first, second, seed=1)
    assert np.array_equal(once, paired_differences(first, second, seed=1))
    assert not np.array_equal(once, paired_differences(first, second, seed=2))
    low, high = paired_interval(once)
    swapped = paired_interval(paired_differences(second, first, seed=1))
    assert swapped == pytest.approx((-high, -low), abs=0.01)
    assert low < 0.08 < high


def test_networks_that_are_right_on_the_same_images_do_not_differ() -> None:
    first, _ = answers(10, 5, 0, 5)
    assert not paired_differences(first, first, seed=1).any()


def test_ten_thousand_images_take_a_second_at_most_and_memory_is_flat() -> None:
    random = np.random.default_rng(0)
    peaks = []
    for images in (10_000, 1_000_000):
        first, second = random.random((2, images)) < [[0.98], [0.97]]
        tracemalloc.start()
        start = perf_counter()
        found = paired_differences(first, second, seed=1)
        assert perf_counter() - start < 1
        peaks.append(tracemalloc.get_traced_memory()[1] / images)
        tracemalloc.stop()
        assert found.shape == (10_000,)
    assert peaks[1] < 64, "bytes an image: nothing of 10,000 replicates for each"


def test_seeds_of_a_recipe_stand_for_their_mean_and_widen_the_interval() -> None:
    random = np.random.default_rng(1)
    first = random.random((3, 2000)) < [[0.97], [0.95], [0.93]]
    second = random.random((3, 2000)) < 0.95
    found = paired_differences(first, second, seed=1)
    assert np.median(found) == pytest.approx(first.mean() - second.mean(), abs=0.003)
    alone = paired_differences(first[0], second[0], seed=1)
    low, high = paired_interval(found)
    assert high - low > 2 * np.subtract(*paired_interval(alone)[::-1])


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_true_difference_of_two_recipes_is_in_95_of_100_intervals(seeds: int) -> None:
    """Accuracy varies by image, by seed, and by seed on an image; the truth is known here."""
    random = np.random.default_rng(seeds)
    spread = 0.02
    inside = 0
    for trial in range(400):
        hard = random.random(1000) < 0.2

        def trained(accuracy: float, hard: Answers = hard) -> Answers:
            """(seeds, N): right on easy images but for a few, on hard ones as the seed fell."""
            luck = accuracy + random.normal(0, spread, (seeds, 1))
            return random.random((seeds, 1000)) < np.where(hard, luck, 0.99)

        found = paired_differences(trained(0.8), trained(0.7), seed=trial, replicates=1000)
        low, high = paired_interval(found)
        inside += low <= 0.2 * 0.1 <= high
    assert inside / 400 >= 0.95


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (np.ones(3, bool), np.ones(4, bool), r"\(3,\) and the champion's \(4,\)"),
        (np.ones((2, 3), bool), np.ones((2, 4), bool), r"\(3,\) and the champion's \(4,\)"),
        (np.ones(0, bool), np.ones(0, bool), "0 images"),
        (np.ones(3), np.ones(3, bool), "challenger's answers are float64"),
    ],
)
def test_answers_that_cannot_be_paired_are_refused(
    first: Answers, second: Answers, says: str
) -> None:
    with pytest.raises(DataRefused, match=says):
        paired_differences(first, second, seed=1)
