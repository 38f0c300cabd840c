"""The metrics against scikit-learn's and torchmetrics' on random trials, and what is refused."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics
from sklearn.exceptions import UndefinedMetricWarning
from torchmetrics.functional.classification import (
    multiclass_auroc,
    multiclass_calibration_error,
)

from convoy.errors import DataRefused
from convoy.evaluation.metrics import Evaluation, evaluate

Trial = tuple[NDArray[np.float64], NDArray[np.int64], list[str]]


def trial(seed: int) -> Trial:
    """Random probabilities and labels; classes may lack labels, predictions or both."""
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 12))
    images = int(random.integers(1, 300))
    scores = random.normal(size=(images, classes)) * random.uniform(0.1, 8)
    labels = random.integers(0, classes, images)
    scores[np.arange(images), labels] += random.uniform(0, 4)
    labels[labels == random.integers(0, classes)] = 0
    scores[:, random.integers(0, classes)] -= random.choice([0, 100])
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities, labels, [f"class {i}" for i in range(classes)]


def top5_of_scikit_learn(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Of equal probabilities scikit-learn takes the last classes, so they are turned round."""
    classes = probabilities.shape[1]
    turned = probabilities[:, ::-1]
    with warnings.catch_warnings():
        # It warns where five are all, or more than all, classes.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        if classes == 2:  # of which it wants the second one's scores alone, and k has no effect
            return 1.0
        return float(
            sklearn_metrics.top_k_accuracy_score(
                classes - 1 - labels, turned, k=5, labels=range(classes)
            )
        )


@pytest.mark.parametrize("seed", range(60))
def test_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    probabilities, labels, classes = trial(seed)
    predicted, positions = probabilities.argmax(axis=1), range(len(classes))
    ours = evaluate(probabilities, labels, classes)

    with warnings.catch_warnings():
        # scikit-learn warns of predicted classes without labels, and leaves them out as we do.
        warnings.simplefilter("ignore", UserWarning)
        balanced = sklearn_metrics.balanced_accuracy_score(labels, predicted)
    theirs = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": balanced,
        "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0),
        "weighted_f1": sklearn_metrics.f1_score(
            labels, predicted, average="weighted", zero_division=0
        ),
        "negative_log_likelihood": sklearn_metrics.log_loss(
            labels, probabilities, labels=positions
        ),
        "brier_score": sklearn_metrics.brier_score_loss(
            labels, probabilities, labels=positions, scale_by_half=False
        ),
        "top5_accuracy": top5_of_scikit_learn(probabilities, labels),
    }
    assert {name: getattr(ours, name) for name in theirs} == pytest.approx(theirs, abs=1e-6)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=positions, zero_division=0
    )
    assert [one.precision for one in ours.per_class] == pytest.approx(precision, abs=1e-6)
    assert [one.recall for one in ours.per_class] == pytest.approx(recall, abs=1e-6)
    assert [one.f1 for one in ours.per_class] == pytest.approx(f1, abs=1e-6)
    assert [one.support for one in ours.per_class] == list(support)
    confusion = sklearn_metrics.confusion_matrix(labels, predicted, labels=positions)
    assert ours.confusion == confusion.tolist()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("ties", [False, True])
def test_the_area_under_the_roc_curves_is_that_of_torchmetrics_and_scikit_learn(
    seed: int, ties: bool
) -> None:
    probabilities, labels, classes = trial(seed)
    if ties:  # few different values, so that images of a class equal others
        random = np.random.default_rng(seed)
        probabilities = random.multinomial(6, probabilities) / 6
    ours = evaluate(probabilities, labels, classes).roc_auc
    present = np.unique(labels)
    areas = [
        sklearn_metrics.roc_auc_score(labels == place, probabilities[:, place])
        for place in present
        if len(present) > 1
    ]
    if not areas:
        assert ours is None
        return
    assert ours == pytest.approx(np.mean(areas), abs=1e-6)
    with warnings.catch_warnings():
        # Of classes without images, whose area it calls 0: they are left out here.
        warnings.simplefilter("ignore", UserWarning)
        theirs = multiclass_auroc(
            torch.tensor(probabilities), torch.tensor(labels), len(classes), average="none"
        )
    assert ours == pytest.approx(float(theirs[present].mean()), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_calibration_error_is_that_of_torchmetrics(seed: int) -> None:
    probabilities, labels, classes = trial(seed)
    theirs = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), len(classes), n_bins=15, norm="l1"
    )
    ours = evaluate(probabilities, labels, classes).expected_calibration_error
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_of_equal_probabilities_the_first_are_within_the_top_five() -> None:
    uniform = np.full((7, 7), 1 / 7)
    ours = evaluate(uniform, np.arange(7), list("abcdefg"))
    assert ours.top5_accuracy == pytest.approx(5 / 7)
    assert ours.accuracy == pytest.approx(1 / 7)


def test_a_single_image_has_every_metric_but_the_area() -> None:
    ours = evaluate(np.array([[0.25, 0.75]]), np.array([1]), ["a", "b"])
    assert ours.roc_auc is None
    assert (ours.accuracy, ours.top5_accuracy, ours.macro_f1, ours.weighted_f1) == (1, 1, 1, 1)
    assert ours.brier_score == pytest.approx(2 * 0.25**2)
    assert "test/roc_auc" not in ours.metrics("test")


def test_the_trials_contain_classes_without_labels_and_without_predictions() -> None:
    confusions = [np.array(evaluate(*trial(seed)).confusion) for seed in range(60)]
    assert sum((one.sum(axis=1) == 0).any() for one in confusions) > 10
    assert sum((one.sum(axis=0) == 0).any() for one in confusions) > 10
    assert any(((one.sum(axis=1) == 0) & (one.sum(axis=0) > 0)).any() for one in confusions)


def test_a_certain_mistake_costs_what_scikit_learn_says_in_single_and_double_precision() -> None:
    double = np.array([[1, 0], [0.25, 0.75]])
    for probabilities in (double, double.astype(np.float32)):
        labels = np.array([1, 1])
        theirs = sklearn_metrics.log_loss(labels, probabilities, labels=[0, 1])
        ours = evaluate(probabilities, labels, ["a", "b"]).negative_log_likelihood
        assert ours == pytest.approx(theirs, abs=1e-6)


def calibration_error_by_the_book(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> float:
    """Guo et al. (2017), equations 1 to 3, as loops."""
    error = 0.0
    for m in range(1, 16):
        inside = [
            i for i, row in enumerate(probabilities) if (m - 1) / 15 < row.max() <= m / 15
        ]  # B_m
        if inside:
            accuracy = sum(probabilities[i].argmax() == labels[i] for i in inside) / len(inside)
            confidence = sum(probabilities[i].max() for i in inside) / len(inside)
            error += len(inside) / len(labels) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("seed", range(20))
def test_the_calibration_error_is_the_one_of_the_paper(seed: int) -> None:
    probabilities, labels, classes = trial(seed)
    ours = evaluate(probabilities, labels, classes).expected_calibration_error
    assert ours == pytest.approx(calibration_error_by_the_book(probabilities, labels), abs=1e-9)


def test_a_confidence_on_the_edge_of_two_bins_falls_in_the_lower_one() -> None:
    probabilities = np.array([[0.6, 0.4], [0.6 - 1e-9, 0.4 + 1e-9]])
    ours = evaluate(probabilities, np.array([0, 1]), ["a", "b"])
    # Together |1/2 - 0.6|; in two bins it would be (|1 - 0.6| + |0 - 0.6|) / 2 = 0.5.
    assert ours.expected_calibration_error == pytest.approx(0.1, abs=1e-6)


def test_certain_and_right_is_perfect() -> None:
    ours = evaluate(np.eye(3), np.arange(3), ["a", "b", "c"])
    assert (ours.accuracy, ours.balanced_accuracy, ours.macro_f1) == (1, 1, 1)
    assert ours.expected_calibration_error == 0
    assert ours.negative_log_likelihood == pytest.approx(0, abs=1e-12)
    assert ours.accuracy_high == 1
    assert 0.3 < ours.accuracy_low < 0.5


def test_metrics_are_named_split_slash_metric() -> None:
    named = evaluate(*trial(3)).metrics("test")
    assert {
        "test/count",
        "test/accuracy",
        "test/accuracy_low",
        "test/accuracy_high",
        "test/balanced_accuracy",
        "test/macro_f1",
        "test/negative_log_likelihood",
        "test/expected_calibration_error",
        "test/recall/class 1",
        "test/precision/class 1",
        "test/f1/class 1",
        "test/top5_accuracy",
        "test/weighted_f1",
        "test/roc_auc",
        "test/brier_score",
    } <= set(named)
    assert not any("confusion" in name or "per_class" in name for name in named)
    assert all(type(value) is float for value in named.values())


def test_intervals_have_a_group_of_their_own_and_those_by_class_are_no_metrics() -> None:
    intervals = {"macro_f1": (0.1, 0.2), "recall/class 1": (0.3, 0.4)}
    named = evaluate(*trial(3), intervals).metrics("test")
    assert {name: value for name, value in named.items() if name.startswith("interval")} == {
        "interval/macro_f1_low": 0.1,
        "interval/macro_f1_high": 0.2,
    }


def test_above_a_hundred_classes_no_rate_by_class_is_a_metric() -> None:
    shares = np.full((3, 101), 1 / 101)
    ours = evaluate(shares, np.arange(3), [str(number) for number in range(101)])
    assert not any(name.count("/") > 1 for name in ours.metrics("test"))
    assert len(ours.per_class) == 101


def test_an_evaluation_survives_json() -> None:
    ours = evaluate(*trial(5), {"accuracy": (0.25, 0.5)})
    assert Evaluation.from_json(json.loads(json.dumps(ours.to_json()))) == ours


@pytest.mark.parametrize(
    ("probabilities", "labels", "classes", "says"),
    [
        (np.empty((0, 2)), np.empty(0, int), "ab", "at least one image"),
        ([[0.5, np.nan]], [0], "ab", "Image 0 has the probability nan for 'b'"),
        ([[0.5, 0.5], [np.inf, 0.5]], [0, 0], "ab", "Image 1 has the probability inf for 'a'"),
        ([[1.5, -0.5]], [0], "ab", "Image 0 has the probability -0.5 for 'b'"),
        ([[0.5, 0.5], [0.5, 0.4]], [0, 0], "ab", "image 1 sum to 0.9 instead of 1"),
        ([[0.5, 0.5]], [2], "ab", "Image 0 has the label 2, but 2 classes"),
        ([[0.5, 0.5]], [-1], "ab", "Image 0 has the label -1"),
        ([[0.5, 0.5]], [0, 1], "ab", r"shape \(1, 2\) and the labels \(2,\)"),
        ([[0.5, 0.5]], [0], "abc", r"shape \(1, 2\) .* 3 classes"),
        ([0.5, 0.5], [0, 1], "ab", r"shape \(2,\)"),
        ([[0.5, 0.5]], [[0]], "ab", r"labels \(1, 1\)"),
        ([[0.5, 0.5]], [0.0], "ab", "labels are float64"),
        ([[1, 0]], [0], "ab", "probabilities are int64"),
        ([[0.5, 0.5]], [0], "aa", "class 'a' is named twice"),
    ],
)
def test_what_is_no_evaluation_is_refused_in_one_sentence(
    probabilities: Any, labels: Any, classes: str, says: str
) -> None:
    with pytest.raises(DataRefused, match=says) as refused:
        evaluate(np.asarray(probabilities), np.asarray(labels), list(classes))
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_softmax_in_half_precision_is_accepted() -> None:
    probabilities, labels, classes = trial(7)
    ours = evaluate(probabilities.astype(np.float16), labels, classes)
    assert ours.count == len(labels)
