"""What each run said of the test images, from the file that it keeps."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convoy import lookup
from convoy.comparison.choice import Choice
from convoy.errors import ConvoyError, DataRefused, NotReproducible, UsageError
from convoy.evaluation.predictions import FILE, Predictions
from convoy.lookup import short

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True, eq=False)
class Evidence:
    """One network on the test images."""

    classes: tuple[str, ...]
    digest: str
    """Equal where the test images, their order and their labels are."""
    correct: NDArray[np.bool_]
    """(N,)"""
    metrics: Mapping[str, float]
    """All of its run, named as in MLflow; those of test on these images."""


def gather(client: "MlflowClient", chosen: Choice) -> tuple[dict[str, Evidence], tuple[str, ...]]:
    """Return what each run said by its id, and why the champion is left out where it is.

    Raises `UsageError` for a run without predictions, `NotReproducible` where they are gone, and
    `DataRefused` where they are damaged, or of other classes or test images than the first's.
    """
    found: dict[str, Evidence] = {}
    notes: tuple[str, ...] = ()
    first = chosen.runs[0]
    for run in chosen.runs:
        try:
            evidence = _kept(client, run)
            if found:
                _refuse_unlike(first, found[first.info.run_id], run, evidence)
            found[run.info.run_id] = evidence
        except ConvoyError as error:
            if run.info.run_id != chosen.added:
                raise
            notes = (f"the champion is not compared: {error}",)
    return found, notes


def _kept(client: "MlflowClient", run: "Run") -> Evidence:
    with tempfile.TemporaryDirectory() as scratch:
        file = lookup.fetch(client, run, FILE, Path(scratch))
        if file is None:
            raise _missing(run)
        try:
            test = Predictions.load(file).test
        except DataRefused as error:
            words = str(error).replace(str(file), f"{FILE} of run {short(run)}")
            raise DataRefused(words) from error
    return Evidence(test.classes, test.digest, test.correct, run.data.metrics)


def _missing(run: "Run") -> ConvoyError:
    if "test/accuracy" in run.data.metrics:  # so it was evaluated
        return NotReproducible(
            f"{FILE} of run {short(run)} is gone from MLflow's artifacts: restore it from a "
            f"backup, or score all again with `convoy compare --rescore`."
        )
    return UsageError(
        f"run {short(run)} has no predictions on test, as a sweep's trials have none: `convoy run "
        f"--architectures {run.data.params['architecture']}` with its settings scores it."
    )


def _refuse_unlike(one: "Run", ours: Evidence, other: "Run", theirs: Evidence) -> None:
    refuse_classes(short(one), ours.classes, short(other), theirs.classes)
    if ours.digest != theirs.digest:
        counts = f"{len(ours.correct):,} and {len(theirs.correct):,}"
        raise DataRefused(
            f"runs {short(one)} and {short(other)} were tested on different images ({counts}): "
            f"`convoy compare --rescore` scores all of them on the test split that is here."
        )


def refuse_classes(one: str, ours: tuple[str, ...], other: str, theirs: tuple[str, ...]) -> None:
    """Raise `DataRefused` where two do not tell the same classes apart, in whatever order."""
    if only := sorted(set(ours) ^ set(theirs)):
        raise DataRefused(
            f"{one} tells {len(ours)} classes apart and {other} {len(theirs)}, and only one of "
            f"them knows {only[0]!r}: such networks cannot be compared."
        )
