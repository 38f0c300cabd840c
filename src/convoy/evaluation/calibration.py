"""Whether a network is right as often as it says, and what may be done about it.

Guo et al., "On calibration of modern neural networks" (2017): section 2 for the reliability
diagram, section 4.2 for the temperature, one number that all logits are divided by. It is fitted on
validation and judged on test. El-Yaniv and Wiener, "On the foundations of noise-free selective
classification" (2010), for coverage: how many images get an answer if the least certain get none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from convoy.evaluation.predictions import Predictions, Scored
from convoy.evaluation.weighted import CALIBRATION_BINS, Floats, Weighted

TEMPERATURES = (0.05, 20.0)
"""Between which a temperature is looked for; at an end the network is never, or always, certain."""
THRESHOLDS = tuple(number / 100 for number in range(100))
"""Confidences below which an answer is withheld."""


@dataclass(frozen=True)
class Bin:
    """The images whose highest probability lies in one part of 0 to 1; None for means of none."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Coverage:
    """What is left where answers below a confidence are withheld."""

    threshold: float
    coverage: float
    """The share of the images that are answered."""
    accuracy: float | None
    """Of those that are; None where none is."""


@dataclass(frozen=True)
class Fit:
    """How well probabilities fit the test images."""

    negative_log_likelihood: float
    expected_calibration_error: float


@dataclass(frozen=True)
class Calibration:
    """The calibration of one network on test, its temperature from validation."""

    temperature: float
    before: Fit
    after: Fit
    """With the logits divided by the temperature."""
    reliability: tuple[Bin, ...]
    reliability_after: tuple[Bin, ...]
    coverage: tuple[Coverage, ...]

    def metrics(self) -> dict[str, float]:
        """Return the numbers that go with the run's metrics."""
        after = {f"calibration/{name}_after": value for name, value in asdict(self.after).items()}
        return {"calibration/temperature": self.temperature, **after}

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `to_json` wrote."""
        return cls(
            record["temperature"],
            Fit(**record["before"]),
            Fit(**record["after"]),
            tuple(Bin(**one) for one in record["reliability"]),
            tuple(Bin(**one) for one in record["reliability_after"]),
            tuple(Coverage(**one) for one in record["coverage"]),
        )


def calibrate(predictions: Predictions) -> Calibration:
    """Fit the temperature on val; return what it does on test, and how test is calibrated."""
    temperature = fit_temperature(predictions.val)
    test = predictions.test
    tempered = at_temperature(test.probabilities, temperature)
    return Calibration(
        temperature=temperature,
        before=_fit(test.probabilities, test.labels),
        after=_fit(tempered, test.labels),
        reliability=reliability(test.probabilities, test.labels),
        reliability_after=reliability(tempered, test.labels),
        coverage=coverage(test),
    )


def fit_temperature(scored: Scored) -> float:
    """Return the temperature under which these images are the most likely.

    The log-likelihood has one maximum in its inverse, so the search cannot go astray.
    """
    logits = _logits(scored.probabilities)
    # Of the right class, how far it lies above each: the likelihood needs nothing else.
    lead = logits - np.take_along_axis(logits, scored.labels[:, None], axis=1)

    def nats(inverse: float) -> float:
        return float(np.logaddexp.reduce(lead * inverse, axis=1).mean())

    coldest, hottest = TEMPERATURES
    found = minimize_scalar(nats, bounds=(1 / hottest, 1 / coldest), method="bounded")
    return float(1 / found.x)


def at_temperature(probabilities: NDArray[np.floating[Any]], temperature: float) -> Floats:
    """Return probabilities (N, C) as if their logits had been divided by a temperature."""
    logits = _logits(probabilities) / temperature
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def reliability(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]
) -> tuple[Bin, ...]:
    """Return the bins of the expected calibration error, each (low, high]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
    bins = np.searchsorted(edges[1:-1], confidence, side="left")
    images = np.bincount(bins, minlength=CALIBRATION_BINS)
    sums = [
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS)
        for values in (confidence, right)
    ]
    return tuple(
        Bin(
            float(edges[place]),
            float(edges[place + 1]),
            int(count),
            *(float(total[place] / count) if count else None for total in sums),
        )
        for place, count in enumerate(images)
    )


def coverage(scored: Scored) -> tuple[Coverage, ...]:
    """Return the share and the accuracy of the answers that are at least so confident."""
    confidence = scored.probabilities.max(axis=1)
    order = np.argsort(confidence)
    # How many of the least confident are right, for each number of them.
    right = np.concatenate([[0], np.cumsum(scored.correct[order])])
    found = []
    for threshold in THRESHOLDS:
        withheld = int(np.searchsorted(confidence[order], threshold, side="left"))
        answered = len(scored) - withheld
        share = float((right[-1] - right[withheld]) / answered) if answered else None
        found.append(Coverage(threshold, answered / len(scored), share))
    return tuple(found)


def _fit(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Fit:
    found = Weighted(probabilities, labels).at(np.ones((len(labels), 1))).one
    return Fit(*(float(found[name][0]) for name in Fit.__dataclass_fields__))


def _logits(probabilities: NDArray[np.floating[Any]]) -> Floats:
    """Return what softmax makes the probabilities of, but for a constant an image."""
    smallest = float(np.finfo(np.float32).tiny)
    return np.log(np.maximum(probabilities.astype(np.float64), smallest))
