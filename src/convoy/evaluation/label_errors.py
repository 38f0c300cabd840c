"""Labels that look wrong, by confident learning.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels"
(2021), as the authors' library cleanlab has it. Only val and test are judged: of an image that a
network has learnt from, it would say what its label says.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Suspect:
    """An image whose label looks wrong."""

    split: Literal["val", "test"]
    number: int
    """Its place in the split."""
    image: str
    """The hash of its content."""
    given: int
    suggested: int
    """Places in the classes."""
    given_probability: float
    suggested_probability: float


def suspects(predictions: Predictions) -> list[Suspect]:
    """Return the images whose labels look wrong, the worst first.

    None where a single class has images: then nothing tells a wrong label.
    """
    labels, probabilities = _together(predictions)
    if len(np.unique(labels)) < 2:
        return []
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with few images, which are there to be seen
        found = find_label_issues(
            # In one process: it would fork others out of ours.
            *(labels, probabilities),
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        )
    return [_suspect(predictions, int(place)) for place in found]


def quality(predictions: Predictions) -> NDArray[np.float64]:
    """Return how well the label of each image of val, then of test, fits: (N,) from 0 to 1.

    This is what suspects are ordered by.
    """
    from cleanlab.rank import get_label_quality_scores

    labels, probabilities = _together(predictions)
    scores: NDArray[np.float64] = get_label_quality_scores(
        labels, probabilities, method="self_confidence"
    )
    return scores


def _together(predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    splits = predictions.val, predictions.test
    return (
        np.concatenate([scored.labels for scored in splits]),
        np.concatenate([scored.probabilities for scored in splits]),
    )


def _suspect(predictions: Predictions, place: int) -> Suspect:
    split: Literal["val", "test"] = "val" if place < len(predictions.val) else "test"
    number = place if split == "val" else place - len(predictions.val)
    scored = getattr(predictions, split)
    given, suggested = int(scored.labels[number]), int(scored.predicted[number])
    return Suspect(
        split,
        number,
        str(scored.images[number]),
        given,
        suggested,
        float(scored.probabilities[number, given]),
        float(scored.probabilities[number, suggested]),
    )
