"""How well a network's probabilities fit the labels, in numbers.

All in float64 and nearly all from the confusion matrix, with scikit-learn's conventions where a
class never occurs. Sources: Guo et al., "On calibration of modern neural networks" (2017), section
2, for the expected calibration error; Brodersen et al., "The balanced accuracy and its posterior
distribution" (2010).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.refusals import refuse_unscorable
from convoy.evaluation.significance import wilson_interval

CALIBRATION_BINS = 15  # as many as Guo et al.


@dataclass(frozen=True)
class PerClass:
    """One class; a rate whose denominator is zero is 0, and `support` tells that it was."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Images that have this label."""


@dataclass(frozen=True)
class Evaluation:
    """One network on one split."""

    count: int
    accuracy: float
    accuracy_low: float
    """The lower end of the accuracy's 95 % Wilson interval."""
    accuracy_high: float
    balanced_accuracy: float
    """Mean recall over the classes that have images."""
    macro_f1: float
    """Mean F1 over the classes that have images or predictions."""
    negative_log_likelihood: float
    """In nats an image."""
    expected_calibration_error: float
    per_class: tuple[PerClass, ...]
    confusion: list[list[int]]
    """Images by true class (row) and predicted class (column)."""

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return every number but the confusion matrix, named `<prefix>/<metric>[/<class>]`."""
        named = {
            f"{prefix}/{field.name}": float(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("per_class", "confusion")
        }
        for one in self.per_class:
            named[f"{prefix}/precision/{one.name}"] = one.precision
            named[f"{prefix}/recall/{one.name}"] = one.recall
        return named

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        record = asdict(self)
        record["per_class"] = list(record["per_class"])
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evaluation":
        """Return the evaluation that `to_json` wrote."""
        per_class = tuple(PerClass(**one) for one in record["per_class"])
        return cls(**{**record, "per_class": per_class})


def evaluate(
    probabilities: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    classes: Sequence[str],
) -> Evaluation:
    """Score probabilities (N, classes) against labels (N,), which are positions in `classes`.

    `DataRefused` for anything that is not one probability distribution and one label an image.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    refuse_unscorable(probabilities, labels, classes)
    # A zero's logarithm: as small as the numbers that came in could tell apart from one.
    smallest = float(np.finfo(probabilities.dtype).eps)
    labels = labels.astype(np.int64)

    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * len(classes) + predicted, minlength=len(classes) ** 2)
    confusion = confusion.reshape(len(classes), len(classes))
    correct, support, answers = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _rate(correct, answers), _rate(correct, support)
    f1 = _rate(2 * correct, support + answers)

    confidence = probabilities.max(axis=1).astype(np.float64)
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    likelihood = likelihood.clip(smallest, 1 - smallest)
    hits = int(correct.sum())
    low, high = wilson_interval(hits, len(labels))
    return Evaluation(
        count=len(labels),
        accuracy=hits / len(labels),
        accuracy_low=low,
        accuracy_high=high,
        balanced_accuracy=float(recall[support > 0].mean()),
        macro_f1=float(f1[support + answers > 0].mean()),
        negative_log_likelihood=float(-np.log(likelihood).mean()),
        expected_calibration_error=_calibration_error(confidence, predicted == labels),
        per_class=tuple(
            PerClass(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(classes)
        ),
        confusion=confusion.tolist(),
    )


def _rate(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)  # where the whole is 0, so is its part


def _calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the mean over images of |accuracy - confidence| of their bin (Guo et al., eq. 3).

    The bins are ((m - 1) / M, m / M], as in the paper.
    """
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = np.searchsorted(inner_edges, confidence, side="left")
    gaps = np.bincount(bins, weights=correct - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
