"""Who is better, in words that people believe."""

import re

import numpy as np
import pytest

from convoy.errors import DataRefused
from convoy.evaluation.pairwise import Entrant, compare_pairs, points
from convoy.evaluation.significance import holm, mcnemar


def entrant(name: str, wrong: range, images: int = 1000, seeds: int = 1) -> Entrant:
    correct = np.ones((seeds, images), dtype=bool)
    correct[:, list(wrong)] = False
    return Entrant(name, correct)


def test_the_more_accurate_comes_first_whatever_the_order() -> None:
    good, bad = entrant("good", range(10)), entrant("bad", range(5, 80))
    for order in ((good, bad), (bad, good)):
        (pair,) = compare_pairs(order, seed=0)
        assert (pair.first, pair.second) == ("good", "bad")
        assert pair.gain == pytest.approx(0.065) and pair.low < pair.gain < pair.high
        told = r"good is better than bad \(\+6\.5 points, 95 % [45]\.\d to [78]\.\d\)"
        assert re.fullmatch(told, pair.words)


def test_noise_is_called_no_evidence() -> None:
    (pair,) = compare_pairs([entrant("a", range(10)), entrant("b", range(4, 17))], seed=0)
    told = r"no evidence of a difference between a and b \(\+0\.3 points, 95 % -\d\.\d to \d\.\d\)"
    assert re.fullmatch(told, pair.words)


def test_p_values_are_mcnemars_corrected_for_the_number_of_pairs() -> None:
    many = [entrant(str(n), range(3 * n, 10 + 6 * n)) for n in range(5)]
    found = compare_pairs(many, seed=0)
    assert len(found) == 10
    by_name = {one.name: one.correct[0] for one in many}
    exact = [mcnemar(by_name[p.first], by_name[p.second]).p_different for p in found]
    assert [pair.p for pair in found] == exact
    assert [pair.corrected for pair in found] == holm(exact)


def test_what_is_clear_alone_may_be_noise_among_many() -> None:
    pair = entrant("a", range(0)), entrant("b", range(6))  # p = 2 / 2 ** 6 = 0.03125
    assert compare_pairs(pair, seed=0)[0].differs
    more = [entrant(str(n), range(0)) for n in range(3)]
    assert not any(found.differs for found in compare_pairs([*pair, *more], seed=0))


def test_no_two_networks_out_of_ten_equal_ones_are_called_different() -> None:
    random = np.random.default_rng(0)
    wrongly = 0
    for _ in range(20):
        many = [Entrant(str(n), random.random((1, 500)) < 0.9) for n in range(10)]
        wrongly += any(pair.differs for pair in compare_pairs(many, seed=0))
    assert wrongly <= 4, "1 in 20 families at most, and chance"


def test_many_images_are_worth_a_hundredth_of_a_point() -> None:
    assert points(0.01234, 400, "+") == "+1.2" and points(0.01234, 10_000, "+") == "+1.23"
    assert points(-0.00001, 400) == "0.0"


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_images_are_refused(images: int) -> None:
    pair = [entrant(name, range(0), images) for name in "ab"]
    with pytest.raises(DataRefused, match=f"the test split has {images} image, which can tell"):
        compare_pairs(pair, seed=0)
    assert compare_pairs(pair[:1], seed=0) == ()
