"""The gathering of the gate's evidence: challenger and champion on the same test images.

Both are the graphs that were registered. Images that the champion has seen in its training are left
out for both, and times are taken in turns, so that a busy machine is busy for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convoy.evaluation.cost import parameters
from convoy.evaluation.evidence import Comparison, Evidence, Scores
from convoy.evaluation.metrics import Evaluation, evaluate
from convoy.evaluation.significance import mcnemar, paired_differences, paired_interval

TIMED_BATCH = 64
TURNS = 9
"""How often each is timed; the median counts."""
SEED = 0
"""Of the bootstrap: the same answers give the same verdict."""


@dataclass(frozen=True)
class Contestant:
    """A registered version, loaded."""

    version: str
    graph: nn.Module
    classes: Sequence[str]
    probabilities: NDArray[np.float32]
    """(N, classes) for the test images, in their order."""


def collect(
    dataset_version: str,
    images: Tensor,
    labels: Tensor,
    alpha: float,
    challenger: Contestant,
    champion: Contestant | None = None,
    seen: NDArray[np.bool_] | None = None,
    incomparable: str | None = None,
) -> Evidence:
    """Return what is known of one or two versions on test images (N, H, W, C) uint8.

    `labels` (N,) are positions among the challenger's classes; the champion's are taken by their
    names. `seen` (N,) tells which images the champion trained on, None where nobody knows. `alpha`
    is how often the bound of the gain may be wrong.
    """
    if champion is not None and seen is not None and seen.all():
        reason = f"champion version {champion.version} trained on each of the {len(labels)} images"
        champion, incomparable = None, reason
    if champion is None:
        scored = evaluate(challenger.probabilities, labels.numpy(), challenger.classes)
        (time,) = _times(challenger.graph, images=images[:TIMED_BATCH])
        scores = _scores(challenger, scored, time)
        support = _support(scored)
        return Evidence(dataset_version, len(labels), support, scores, None, incomparable)
    kept = np.ones(len(labels), np.bool_) if seen is None else ~seen
    # The classes that only the champion knows are wrong answers, those it lacks get no probability.
    names = [*challenger.classes, *(c for c in champion.classes if c not in challenger.classes)]
    mine, theirs = (
        _by_name(one.probabilities[kept], one.classes, names) for one in (challenger, champion)
    )
    truth = labels.numpy()[kept]
    times = _times(challenger.graph, champion.graph, images=images[:TIMED_BATCH])
    right, other = mine.argmax(axis=1) == truth, theirs.argmax(axis=1) == truth
    scored = evaluate(mine, truth, names)
    differences = paired_differences(right, other, SEED)
    return Evidence(
        dataset_version,
        len(truth),
        _support(scored),
        _scores(challenger, scored, times[0]),
        Comparison(
            champion=_scores(champion, evaluate(theirs, truth, names), times[1]),
            left_out=None if seen is None else int(seen.sum()),
            paired=mcnemar(right, other),
            gain_low=paired_interval(differences, 1 - 2 * alpha)[0],
        ),
    )


def _by_name(
    found: NDArray[np.float32], classes: Sequence[str], names: Sequence[str]
) -> NDArray[np.float32]:
    """Return probabilities (N, classes) in the order of `names` (N, names)."""
    ordered = np.zeros((len(found), len(names)), np.float32)
    ordered[:, [names.index(name) for name in classes]] = found
    return ordered


def _support(scored: Evaluation) -> dict[str, int]:
    return {one.name: one.support for one in scored.per_class if one.support}


def _scores(contestant: Contestant, scored: Evaluation, microseconds: float) -> Scores:
    return Scores(
        version=contestant.version,
        accuracy=scored.accuracy,
        recall={one.name: one.recall for one in scored.per_class if one.support},
        calibration_error=scored.expected_calibration_error,
        microseconds_per_image=microseconds,
        parameters=parameters(contestant.graph),
    )


def _times(*graphs: nn.Module, images: Tensor) -> list[float]:
    """Return the median microseconds that each graph takes for one of `images`, in turns."""
    seconds: list[list[float]] = [[] for _ in graphs]
    with torch.inference_mode():
        for graph in graphs:  # pays for memory, caches and the choice of kernels
            graph(images)
        for _ in range(TURNS):
            for graph, taken in zip(graphs, seconds, strict=True):
                start = perf_counter()
                graph(images)
                taken.append(perf_counter() - start)
    return [median(taken) / len(images) * 1e6 for taken in seconds]
