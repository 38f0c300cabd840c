"""Every metric of a split where each image counts as often as a weight says.

With ones it is the metric itself; with the draws of a bootstrap it is a replicate of it, thousands
at once. All but the area under the ROC curve follow from sums over images, and that one, class by
class, from sums over the images between two of the class: so it is all products of a sparse matrix
and the weights. Sources: Guo et al., "On calibration of modern neural networks" (2017), section 2,
for the expected calibration error; Brodersen et al., "The balanced accuracy and its posterior
distribution" (2010); Brier, "Verification of forecasts expressed in terms of probability" (1950);
Hand and Till, "A simple generalisation of the area under the ROC curve" (2001), for how it is a
count of pairs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

CALIBRATION_BINS = 15  # as many as Guo et al.
TOP = 5

Floats = NDArray[np.float64]


class Values(NamedTuple):
    """Metrics of R weightings; what is not defined is NaN, as without an image of a class."""

    one: dict[str, Floats]
    """(R,) by metric."""
    by_class: dict[str, Floats]
    """(C, R) by metric."""


class Weighted:
    """The metrics of probabilities (N, C) and labels (N,), before anyone says what counts how."""

    def __init__(self, probabilities: NDArray[Any], labels: NDArray[Any]) -> None:
        self._classes = probabilities.shape[1]
        self._probabilities, self._labels = probabilities, labels
        self._sums = _sums(probabilities, labels)
        self._columns: list[csr_array] | None = None

    def at(self, weights: Floats) -> Values:
        """Return the metrics under each column of `weights` (N, R), whose sums are not 0."""
        total = weights.sum(axis=0)
        found: Floats = self._sums @ weights
        ends = np.cumsum([4, CALIBRATION_BINS, self._classes, self._classes])
        means, gaps, support, answers, correct = np.split(found, ends)
        precision, recall = _share(correct, answers), _share(correct, support)
        f1 = _share(2 * correct, support + answers)
        areas = self._areas(weights, support, total)
        one = {
            "accuracy": means[0] / total,
            "top5_accuracy": means[1] / total,
            "balanced_accuracy": _mean(recall),
            "macro_f1": _mean(f1),
            "weighted_f1": np.nansum(f1 * support, axis=0) / total,
            "roc_auc": _mean(areas),
            "negative_log_likelihood": means[2] / total,
            "brier_score": means[3] / total,
            "expected_calibration_error": np.abs(gaps).sum(axis=0) / total,
        }
        by_class = {"precision": precision, "recall": recall, "f1": f1}
        return Values(one, by_class)

    def _areas(self, weights: Floats, support: Floats, total: Floats) -> Floats:
        """Return the area under each class's ROC curve (C, R): of pairs, how many are in order.

        A pair is an image of the class and one of another; equal probabilities count one half.
        """
        if self._columns is None:
            self._columns = list(_columns(self._probabilities, self._labels))
        areas = np.full((self._classes, len(total)), np.nan)
        for place, column in enumerate(self._columns):
            if not column.shape[0]:
                continue
            sums: Floats = column @ weights
            below, equal, own = sums[0::3], sums[1::3], sums[2::3]
            others = np.cumsum(below + equal, axis=0) - equal / 2
            pairs = support[place] * (total - support[place])
            areas[place] = _share((own * others).sum(axis=0), pairs)
        return areas


def _sums(probabilities: NDArray[Any], labels: NDArray[Any]) -> csr_array:
    """Return what each image adds to each sum, (4 + bins + 3 C, N).

    Right, within the first five, nats, squared error; the bins' gaps; the class that it has, the
    one that it was given, the one that it has and was given.
    """
    images, classes = probabilities.shape
    numbers = np.arange(images)
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    confidence = probabilities.max(axis=1).astype(np.float64)
    own = probabilities[numbers, labels]
    # A zero's logarithm: as small as the numbers that came in could tell apart from one.
    smallest = float(np.finfo(probabilities.dtype).eps)
    nats = -np.log(own.astype(np.float64).clip(smallest, 1 - smallest))
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    brier = squares - 2.0 * own + 1.0
    # The bins are ((m - 1) / M, m / M], as in the paper.
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = np.searchsorted(inner_edges, confidence, side="left")
    first = 4 + CALIBRATION_BINS
    entries = [
        (0, right),
        (1, _within_top(probabilities, labels)),
        (2, nats),
        (3, brier),
        (4 + bins, right - confidence),
        (first + labels, 1.0),
        (first + classes + predicted, 1.0),
        (first + 2 * classes + labels, right),
    ]
    rows = np.concatenate([np.broadcast_to(row, images) for row, _ in entries])
    values = np.concatenate([np.broadcast_to(value, images) for _, value in entries])
    columns = np.tile(numbers, len(entries))
    shape = (first + 3 * classes, images)
    return csr_array((values.astype(np.float64), (rows, columns)), shape=shape)


def _within_top(probabilities: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whose label is among the five most probable classes; of equal ones the first are.

    So it is where the prediction is right, which is the first of equal ones too.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    before = (probabilities > own).sum(axis=1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    before += ((probabilities == own) & earlier).sum(axis=1)
    return before < TOP


def _columns(probabilities: NDArray[Any], labels: NDArray[Any]) -> Iterator[csr_array]:
    """Yield, for each class, what sums the weights between its images by rising probability.

    For each probability that images of the class have, three rows: the other images below it and
    above the one before, those equal to it, and the class's own.
    """
    ones = np.ones(len(labels))
    for place in range(probabilities.shape[1]):
        own = labels == place
        # Of equal ones the others come first.
        order = np.concatenate([np.flatnonzero(~own), np.flatnonzero(own)])
        order = order[np.argsort(probabilities[order, place], kind="stable")]
        values, mine = probabilities[order, place], own[order]
        begins = np.flatnonzero(np.diff(values, prepend=-1.0))
        ends = np.append(begins[1:], len(values))
        held = np.add.reduceat(mine, begins, dtype=np.int64) if len(begins) else begins
        here = held > 0
        bounds = np.stack([begins[here], ends[here] - held[here], ends[here]], axis=1)
        places = np.concatenate([[0], bounds.ravel()])
        size = int(places[-1])
        shape = (len(places) - 1, len(values))
        yield csr_array((ones[:size], order[:size].astype(np.int32), places), shape=shape)


def _share(part: Floats, whole: Floats) -> Floats:
    """Return the quotient; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _mean(by_class: Floats) -> Floats:
    """Return the mean over the classes that have a value, (R,)."""
    there = ~np.isnan(by_class)
    return _share(np.where(there, by_class, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))
