"""The task that looks into a trained network, and what MLflow is told of it."""

from pathlib import Path
from typing import Any

from convoy import digests, tracking
from convoy.errors import ConvoyError, Stopped
from convoy.pipeline.session import Session, Training
from convoy.pipeline.training import record_of
from convoy.progress import Step, report

PROGRAM = "convoy.evaluation.inspection"
INSPECTION = "convoy.inspection"
"""The tag with the key of the inspection that a run holds."""
MISSING = "convoy.inspection_missing"
"""The tag with the reason where a run holds none."""


def inspect(work: Session, architecture: str) -> int:
    """Look where a trained network fails and what it looks at. Return how many figures there are.

    An inspection that comes to nothing costs a training nothing: it is reported, and why is kept
    with the run. Raises `Stopped` alone.
    """
    training = work.trainings[architecture]
    robustness = work.plan.settings.evaluation.robustness
    key = digests.values(training.key, digests.code(PROGRAM), robustness)
    spec = {
        "folder": str(training.folder),
        "record": record_of(work, architecture),
        "files": work.version.files,
        "dataset": work.plan.dataset,
        "robustness": robustness,
        "key": key,
    }
    figures = 0
    try:
        log = training.folder / "log.txt"
        found = work.launcher.run(PROGRAM, spec, log, lambda event: None)
        figures = len(found["figures"])
        _log(work, training, key, found)
    except Stopped:
        raise
    except ConvoyError as error:
        report(Step(f"inspect {architecture}", "failed", str(error)))
        tracking.mark(work.client, training.run_id, {MISSING: str(error)})
    if not training.kept:
        work.close(training.run_id)
    return figures


def _log(work: Session, training: Training, key: str, found: dict[str, Any]) -> None:
    (run,) = tracking.get_runs(work.client, [training.run_id])
    if run.data.tags.get(INSPECTION) == key:
        return
    tracking.log_metrics(work.client, training.run_id, found["metrics"])
    curves: dict[str, list[float]] = found["curves"]
    for step, values in enumerate(zip(*curves.values(), strict=True)):
        named = dict(zip(curves, values, strict=True))
        tracking.log_metrics(work.client, training.run_id, named, step)
    folder = training.folder
    table = folder / "errors" / "label_errors.csv"
    files = [folder / file for file in found["figures"].values()]
    for file in (*files, *([table] if table.is_file() else []), folder / "inspection.json"):
        inside = file.parent.relative_to(folder)
        tracking.log_file(
            work.client, training.run_id, file, "" if inside == Path() else str(inside)
        )
    tracking.mark(work.client, training.run_id, {INSPECTION: key})
