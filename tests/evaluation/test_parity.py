"""Two forms of one network have to answer alike."""

import numpy as np
import pytest

from convoy.errors import ParityFailed
from convoy.evaluation.parity import require_parity

ANSWERS = np.array([[0.7, 0.3], [0.5 + 2e-6, 0.5 - 2e-6]])


def test_rounding_is_no_difference() -> None:
    require_parity("the form", ANSWERS + 1e-6, ANSWERS)


def test_a_probability_that_is_further_away_is_refused_with_the_distance() -> None:
    other = ANSWERS + np.array([[2e-5, -2e-5], [0, 0]])
    with pytest.raises(ParityFailed, match=r"the form gives probabilities up to 2e-05 away") as no:
        require_parity("the form", other, ANSWERS)
    assert no.value.exit_code == 6


def test_another_class_is_refused_however_small_the_distance() -> None:
    with pytest.raises(ParityFailed, match="another class for 1 of 2 test images"):
        require_parity("the form", np.array([[0.7, 0.3], [0.5 - 2e-6, 0.5 + 2e-6]]), ANSWERS)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ParityFailed, match="nan away"):
        require_parity("the form", np.array([[0.7, np.nan], [0.6, 0.4]]), ANSWERS)


def test_other_classes_are_refused() -> None:
    with pytest.raises(ParityFailed, match=r"answers in the shape \(2, 3\)"):
        require_parity("the form", np.zeros((2, 3)), ANSWERS)
