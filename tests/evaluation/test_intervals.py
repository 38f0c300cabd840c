"""The bootstrap against a plain loop over scikit-learn, and that its intervals are honest."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from convoy.evaluation.intervals import bootstrap, draws
from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import Scored
from convoy.evaluation.weighted import Weighted
from tests.evaluation.scorings import contents, names, scored

Metric = Callable[[NDArray[Any], NDArray[Any]], float]


def area(labels: NDArray[Any], shares: NDArray[Any]) -> float:
    present = np.unique(labels)
    found = [reference.roc_auc_score(labels == place, shares[:, place]) for place in present]
    return float(np.mean(found))


PEERS: dict[str, Metric] = {
    "accuracy": lambda y, p: reference.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, p.argmax(1)),
    "macro_f1": lambda y, p: reference.f1_score(y, p.argmax(1), average="macro", zero_division=0),
    "weighted_f1": lambda y, p: reference.f1_score(
        y, p.argmax(1), average="weighted", zero_division=0
    ),
    "roc_auc": area,
    "negative_log_likelihood": lambda y, p: reference.log_loss(y, p, labels=range(p.shape[1])),
}


@pytest.mark.parametrize("images", [30, 300])
def test_each_replicate_is_what_scikit_learn_says_of_the_drawn_images(images: int) -> None:
    one = scored(images, 4, skill=1.0)
    shares = one.probabilities.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    weights = np.concatenate(list(draws(images, replicates=20)), axis=1)
    ours = Weighted(shares, one.labels).at(weights).one
    with warnings.catch_warnings():
        # Of a draw that lacks a class; it leaves that out as we do.
        warnings.simplefilter("ignore", UserWarning)
        for column in range(weights.shape[1]):
            drawn = np.repeat(np.arange(images), weights[:, column].astype(int))
            for name, peer in PEERS.items():
                expected = peer(one.labels[drawn], shares[drawn])
                assert ours[name][column] == pytest.approx(expected, abs=1e-6), name


def test_a_bootstrap_repeats_itself() -> None:
    assert bootstrap(scored()) == bootstrap(scored())


def test_replicates_do_not_depend_on_how_many_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = np.concatenate(list(draws(50, 40)), axis=1)
    monkeypatch.setattr("convoy.evaluation.intervals._HELD", 50 * 7)
    assert np.array_equal(np.concatenate(list(draws(50, 40)), axis=1), together)
    assert max(part.shape[1] for part in draws(50, 40)) == 7
    assert (together.sum(axis=0) == 50).all()


def test_every_metric_has_an_interval_around_it() -> None:
    one = scored(images=2000, classes=8, skill=1.0)
    intervals = bootstrap(one)
    whole = evaluate(one.probabilities, one.labels, one.classes)
    plain = {name for name in intervals if "/" not in name}
    assert plain == set(Weighted(one.probabilities, one.labels).at(np.ones((2000, 1))).one)
    for name in plain - {"expected_calibration_error"}:  # whose replicates lie higher than itself
        low, high = intervals[name]
        assert low < getattr(whole, name) < high, name
    for rates in whole.per_class:
        for name in ("precision", "recall", "f1"):
            low, high = intervals[f"{name}/{rates.name}"]
            assert low < getattr(rates, name) < high


def test_of_95_percent_intervals_about_95_percent_hold_the_true_accuracy() -> None:
    # Images of which each is right with 0.7, so that the truth is known.
    random = np.random.default_rng(4)
    held = 0
    for trial in range(200):
        labels = (random.random(200) < 0.3).astype(np.int64)  # of two classes, 0 is predicted
        shares = np.tile(np.array([[0.8, 0.2]], np.float32), (200, 1))
        low, high = bootstrap(Scored(shares, labels, contents(200, trial), names(2)), 300)[
            "accuracy"
        ]
        held += low <= 0.7 <= high
    assert 0.88 <= held / 200 <= 0.985


def test_a_class_without_images_has_no_interval_and_a_single_image_has_none_at_all() -> None:
    one = scored(classes=3)
    kept = one.labels != 1
    empty = Scored(one.probabilities[kept], one.labels[kept], one.images[kept], one.classes)
    found = bootstrap(empty)
    assert "recall/class 1" not in found and "recall/class 0" in found
    assert bootstrap(scored(images=1)) == {}
