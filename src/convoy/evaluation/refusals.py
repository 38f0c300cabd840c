"""What is no set of probabilities and labels, in a sentence each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy.errors import DataRefused

SUM_TOLERANCE = 1e-3  # half precision's softmax misses 1 by up to about this


def refuse_unscorable(
    probabilities: NDArray[Any], labels: NDArray[Any], classes: Sequence[str]
) -> None:
    """Raise `DataRefused` unless there are one distribution (N, classes) and one label an image."""
    _refuse_shapes(probabilities, labels, classes)
    _refuse_labels(labels, classes)
    _refuse_probabilities(probabilities, classes)


def _refuse_shapes(
    probabilities: NDArray[Any], labels: NDArray[Any], classes: Sequence[str]
) -> None:
    if labels.size == 0 or probabilities.size == 0:
        raise DataRefused(
            f"The probabilities have the shape {probabilities.shape} and the labels "
            f"{labels.shape}; an evaluation takes at least one image."
        )
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise DataRefused(f"The class {twice!r} is named twice; give every class its own name.")
    if labels.ndim != 1 or probabilities.shape != (len(labels), len(classes)):
        raise DataRefused(
            f"The probabilities have the shape {probabilities.shape} and the labels "
            f"{labels.shape}, with {len(classes)} classes; give one row an image and one column "
            "a class, and one label an image."
        )


def _refuse_labels(labels: NDArray[Any], classes: Sequence[str]) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataRefused(
            f"The labels are {labels.dtype}; give each as an integer from 0 to {len(classes) - 1}."
        )
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if outside.size:
        raise DataRefused(
            f"Image {outside[0]} has the label {labels[outside[0]]}, but {len(classes)} classes "
            f"take labels from 0 to {len(classes) - 1}; check the order and the number of classes."
        )


def _refuse_probabilities(probabilities: NDArray[Any], classes: Sequence[str]) -> None:
    if not np.issubdtype(probabilities.dtype, np.floating):
        raise DataRefused(
            f"The probabilities are {probabilities.dtype}; give floating-point numbers from 0 to 1."
        )
    unusable = np.argwhere(~np.isfinite(probabilities) | (probabilities < 0))
    if unusable.size:
        image, column = unusable[0]
        raise DataRefused(
            f"Image {image} has the probability {probabilities[image, column]} for "
            f"{classes[column]!r}; check the network's logits, and that softmax was taken of them."
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if wrong.size:
        raise DataRefused(
            f"The probabilities of image {wrong[0]} sum to {sums[wrong[0]]:.6g} instead of 1; "
            "take the softmax of the logits over the classes."
        )
