"""A pipeline run and its networks brought out of MLflow, for a report or a model card."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from convoy import lookup, registry, tracking
from convoy.errors import ConvoyError, NotReproducible, UsageError
from convoy.evaluation.metrics import Evaluation
from convoy.evaluation.predictions import FILE as PREDICTIONS
from convoy.evaluation.predictions import Predictions
from convoy.files import read_json
from convoy.kept import Files, files
from convoy.lineage import Chain, recorded
from convoy.outcome import Outcome
from convoy.report.record import FILE, Curve, Data, Network, Report

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURVES = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
HARMED = "robust/accuracy/"
"""The curves by the strength of a corruption begin so."""
DRAWN_HERE = {"confusion_matrix", "curves", "reliability", "robustness"}
"""Figures of a run whose numbers the report draws by itself."""
FOLDERS = ("errors", "explanation", "figures")
"""Where a run keeps pictures."""
LARGEST = 4_000_000
"""Bytes of a picture that is looked at."""


def collect(client: "MlflowClient", run_id: str) -> Report:
    """Return what MLflow keeps of a pipeline run.

    Raises `UsageError` for what is no pipeline run that came to its end, and `NotReproducible`
    where what it kept of itself, or one of its trainings, is gone.
    """
    run = _pipeline(client, run_id)
    run_id = str(run.info.run_id)
    with files(client) as there:
        kept = _own(there, run_id)
        trainings = run.data.tags[tracking.TRAININGS].split(",")
        networks = [network(client, there, one) for one in trainings]
    lost: dict[str, str] = {}
    return Report(
        run_id=run_id,
        experiment_id=str(run.info.experiment_id),
        name=tracking.run_name(run),
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.info.start_time / 1000)),
        networks=networks,
        commit=run.data.tags.get(tracking.COMMIT, "none"),
        dirty=run.data.tags.get(tracking.DIRTY) == "true",
        lineage=_lineage(client, kept["outcome"], lost),
        lost=lost,
        **kept,
    )


def _lineage(client: "MlflowClient", outcome: Outcome, lost: dict[str, str]) -> Chain | None:
    """Return what is behind the registered version, or list it as lost: it may be deleted."""
    try:
        return recorded(client, registry.version(client, outcome.model, outcome.version))
    except ConvoyError as error:
        lost["lineage"] = str(error).rstrip(".")
        return None


def _pipeline(client: "MlflowClient", run_id: str) -> "Run":
    (run,) = lookup.runs_named(client, [run_id])
    tags, status = run.data.tags, run.info.status
    if parent := tags.get("mlflow.parentRunId"):
        raise UsageError(
            f"run {run_id} is a training, and a report is one of a whole pipeline run: "
            f"`convoy report {parent}`."
        )
    if status != "FINISHED":
        word = {"RUNNING": "has not ended yet", "FAILED": "failed"}.get(status, "was stopped")
        raise UsageError(
            f"run {run_id} {word}, so there is nothing to report: `convoy report` alone takes the "
            f"last pipeline run that came to its end."
        )
    if not tags.get(tracking.TRAININGS):
        raise UsageError(
            f"run {run_id} ({tracking.run_name(run)}) is no pipeline run: `convoy report` alone "
            f"takes the last one."
        )
    return run


def _own(there: Files, run_id: str) -> dict[str, Any]:
    found = there.bring(run_id, FILE)
    kept: Any = read_json(found) if found else None
    try:
        return {
            "outcome": Outcome.model_validate(kept["outcome"]),
            "data": Data(**kept["data"]),
            "overrides": list(kept["overrides"]),
            "registered": str(kept["registered"]),
        }
    except (TypeError, KeyError, ValidationError):
        raise NotReproducible(
            f"run {run_id} has no whole {FILE} among its artifacts any more: restore it from a "
            f"backup, or run the pipeline again."
        ) from None


def network(client: "MlflowClient", there: Files, run_id: str) -> Network:
    """Return what MLflow keeps of a training that was evaluated.

    What is not there is listed as missing. Raises `NotReproducible` where the run itself is gone,
    or says nothing of the test split.
    """
    try:
        (run,) = tracking.get_runs(client, [run_id])
    except ConvoyError as error:
        raise NotReproducible(
            f"the training {run_id} is gone from MLflow ({error}): restore its store from a "
            f"backup, or run the pipeline again."
        ) from None
    if "test/accuracy" not in run.data.metrics:
        raise NotReproducible(
            f"run {run_id} ({tracking.run_name(run)}) has no test/accuracy: run the pipeline again "
            f"to have it evaluated."
        )
    missing: dict[str, str] = {}
    predictions = _predictions(there, run_id, missing)
    evaluation = _evaluation(there, run_id, predictions, missing)
    found = there.bring(run_id, "inspection.json")
    inspected = read_json(found) if found else None
    missing |= dict(_listed(inspected.get("missing") if isinstance(inspected, dict) else None))
    names = [*CURVES, *(name for name in run.data.metrics if name.startswith(HARMED))]
    return Network(
        architecture=run.data.tags.get(tracking.ARCHITECTURE, tracking.run_name(run)),
        run_id=run_id,
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        evaluation=evaluation,
        predictions=predictions,
        curves=_curves(client, run_id, names, run.data.metrics),
        pictures=_pictures(there, run_id),
        missing=missing,
    )


def _predictions(there: Files, run_id: str, missing: dict[str, str]) -> Predictions | None:
    found = there.bring(run_id, PREDICTIONS)
    if found is None:
        missing["what is said of each image"] = (
            f"{PREDICTIONS} is not among the artifacts of run {run_id}"
        )
        return None
    try:
        return Predictions.load(found)
    except ConvoyError as error:
        reason = str(error).replace(str(found), f"{PREDICTIONS} of run {run_id}")
        missing["what is said of each image"] = reason.rstrip(".")
        return None


def _evaluation(
    there: Files, run_id: str, predictions: Predictions | None, missing: dict[str, str]
) -> Evaluation | None:
    found = there.bring(run_id, "evaluation.json")
    kept: Any = read_json(found) if found else None
    if isinstance(kept, Mapping):
        for what, reason in _listed(kept.get("missing")):
            missing[what] = reason
        try:
            return Evaluation.from_json(kept["evaluation"])
        except (KeyError, TypeError):
            pass
    if predictions is not None:
        from convoy.evaluation.metrics import evaluate

        test = predictions.test
        return evaluate(test.probabilities, test.labels, test.classes)
    missing["confusions and rates by class"] = (
        f"evaluation.json is not among the artifacts of run {run_id}"
    )
    return None


def _listed(found: Any) -> Iterable[tuple[str, str]]:
    return found.items() if isinstance(found, Mapping) else ()


def _curves(
    client: "MlflowClient", run_id: str, names: Iterable[str], known: Mapping[str, float]
) -> dict[str, Curve]:
    curves = {}
    for name in names:
        if name in known:
            history = client.get_metric_history(run_id, name)
            # Of what was logged twice, the later.
            curves[name] = sorted({one.step: one.value for one in history}.items())
    return curves


def _pictures(there: Files, run_id: str) -> dict[str, bytes]:
    pictures = {}
    paths = (path for folder in FOLDERS for path in there.listed(run_id, folder, ".png"))
    for path in paths:
        name = Path(path).stem
        found = None if name in DRAWN_HERE else there.bring(run_id, path)
        if found is not None and found.stat().st_size <= LARGEST:
            pictures[name] = found.read_bytes()
    return pictures


def numbers(report: Report) -> dict[str, Any]:
    """Return the numbers of a report for programs."""
    networks = {
        one.architecture: {"run_id": one.run_id, "metrics": dict(one.metrics)}
        for one in report.networks
    }
    return {
        "run_id": report.run_id,
        "outcome": report.outcome.model_dump(),
        "networks": networks,
        "missing": report.missing,
    }
