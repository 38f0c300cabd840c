"""Evidence for the gate, made of chosen numbers."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from convoy.evaluation.evidence import Comparison, Evidence, Scores
from convoy.evaluation.significance import mcnemar, paired_differences, paired_interval
from convoy.requirements import Gate

GATE = Gate(
    floor=0.9,
    class_floor=0.5,
    calibration=0.1,
    latency=1000,
    tolerance=0.02,
    margin=0.01,
    alpha=0.05,
    class_loss=0.05,
    saving=0.2,
    require_approval=False,
)
LIKE = Scores("2", 0.97, {"cat": 0.97, "dog": 0.97}, 0.02, 100.0, 1000)
"""A network like any other."""


def alone(scores: Scores = LIKE, images: int = 200) -> Evidence:
    """The first version on so many images, half of them cats."""
    return Evidence("v", images, {"cat": images // 2, "dog": images - images // 2}, scores)


def against(
    challenger_only: int,
    champion_only: int,
    images: int = 200,
    challenger: Scores = LIKE,
    champion: Scores = LIKE,
    left_out: int | None = 0,
    recall: Mapping[str, float] | None = None,
) -> Evidence:
    """Two networks that differ on so many images; `recall` is the champion's."""
    right, other = np.ones(images, dtype=np.bool_), np.ones(images, dtype=np.bool_)
    right[:champion_only] = False
    other[champion_only : champion_only + challenger_only] = False
    low, _ = paired_interval(paired_differences(right, other, 0), 0.9)
    serving = replace(champion, version="1", recall=dict(recall or champion.recall))
    compared = Comparison(serving, left_out, mcnemar(right, other), low)
    return replace(alone(challenger, images), against=compared)
