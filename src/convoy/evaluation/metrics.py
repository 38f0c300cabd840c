"""How well a network's probabilities fit the labels, in numbers.

All in float64, with scikit-learn's conventions where a class never occurs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.refusals import refuse_unscorable
from convoy.evaluation.significance import wilson_interval
from convoy.evaluation.weighted import Weighted

MOST_CLASSES = 100
"""With more, the rates of each class are in `evaluation.json` alone: nobody reads 300 charts."""
_NOT_METRICS = ("per_class", "confusion", "intervals")


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
    top5_accuracy: float
    """Of equal probabilities the first classes come first."""
    balanced_accuracy: float
    """Mean recall over the classes that have images."""
    macro_f1: float
    """Mean F1 over the classes that have images or predictions."""
    weighted_f1: float
    """Mean F1, a class as heavy as its images."""
    roc_auc: float | None
    """Mean area under the curves of each class against all others, over those that have images;
    None where no class has both sides."""
    negative_log_likelihood: float
    """In nats an image."""
    brier_score: float
    """Mean over images of the squared errors, summed over the classes: 0 to 2."""
    expected_calibration_error: float
    per_class: tuple[PerClass, ...]
    confusion: list[list[int]]
    """Images by true class (row) and predicted class (column)."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The 95 % bootstrap interval of each metric, and of `<metric>/<class>`, as (low, high)."""

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the numbers, named `<prefix>/<metric>[/<class>]`.

        The intervals, but those by class, are `interval/<metric>_low` and `interval/<metric>_high`.
        """
        values = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name not in _NOT_METRICS
        }
        named = {f"{prefix}/{name}": float(v) for name, v in values.items() if v is not None}
        for one in self.per_class if len(self.per_class) <= MOST_CLASSES else ():
            for name in ("precision", "recall", "f1"):
                named[f"{prefix}/{name}/{one.name}"] = getattr(one, name)
        for name, (low, high) in self.intervals.items():
            if name in values:
                named |= {f"interval/{name}_low": low, f"interval/{name}_high": high}
        return named

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        record = asdict(self)
        record["per_class"] = list(record["per_class"])
        record["intervals"] = {name: list(pair) for name, pair in self.intervals.items()}
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evaluation":
        """Return the evaluation that `to_json` wrote."""
        per_class = tuple(PerClass(**one) for one in record["per_class"])
        intervals = {name: (low, high) for name, (low, high) in record["intervals"].items()}
        return cls(**{**record, "per_class": per_class, "intervals": intervals})


def evaluate(
    probabilities: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    classes: Sequence[str],
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> Evaluation:
    """Score probabilities (N, classes) against labels (N,), which are positions in `classes`.

    `intervals` are what `bootstrap` found of them. `DataRefused` for anything that is not one
    probability distribution and one label an image.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    refuse_unscorable(probabilities, labels, classes)
    labels = labels.astype(np.int64)
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * len(classes) + predicted, minlength=len(classes) ** 2)
    confusion = confusion.reshape(len(classes), len(classes))
    hits, support = int(confusion.trace()), confusion.sum(axis=1)
    low, high = wilson_interval(hits, len(labels))
    values = Weighted(probabilities, labels).at(np.ones((len(labels), 1)))
    found = {name: float(value[0]) for name, value in values.one.items()}
    rates = {name: np.nan_to_num(rows[:, 0]) for name, rows in values.by_class.items()}
    area = found.pop("roc_auc")
    return Evaluation(
        count=len(labels),
        accuracy_low=low,
        accuracy_high=high,
        roc_auc=None if isnan(area) else area,
        **found,
        per_class=tuple(
            PerClass(
                name,
                support=int(support[place]),
                **{rate: float(rows[place]) for rate, rows in rates.items()},
            )
            for place, name in enumerate(classes)
        ),
        confusion=confusion.tolist(),
        intervals=intervals or {},
    )
