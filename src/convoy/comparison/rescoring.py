"""All runs scored again on the test split that is here now: like with like, whatever they saw."""

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convoy import lookup, registry, tracking, versions
from convoy.comparison.choice import Choice
from convoy.comparison.evidence import Evidence
from convoy.errors import NotReproducible, Stopped
from convoy.plan import Plan
from convoy.programs.launcher import Launcher
from convoy.progress import Step, report
from convoy.training.spec import finished

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PROGRAM = "convoy.evaluation.rescoring"
STEP = "score again"


def rescore(
    client: "MlflowClient", plan: Plan, chosen: Choice
) -> tuple[dict[str, Evidence], str, dict[str, str]]:
    """Return what each run says of the present test split, its version, and each one's source.

    A registered model's files are verified against what was registered, a training's weights
    against its result. Raises `NotReproducible` where a run has neither, or they differ.
    """
    report(Step(STEP, "running"))
    try:
        version = versions.current(plan.project, chosen.dataset)
        found, sources = _scored(client, plan, chosen, version.files)
    except BaseException as error:
        report(Step(STEP, "failed"), logging.DEBUG)
        if isinstance(error, KeyboardInterrupt):
            raise Stopped("stopped; nothing was changed.") from None
        raise
    report(Step(STEP, "done", f"{len(found)} networks"))
    return found, version.hash, sources


def _scored(
    client: "MlflowClient", plan: Plan, chosen: Choice, files: dict[str, str]
) -> tuple[dict[str, Evidence], dict[str, str]]:
    log = plan.project.state / "programs.log"
    with (
        tempfile.TemporaryDirectory() as scratch,
        # It imports torch while the files are brought and verified.
        Launcher(PROGRAM, log=log, scratch=plan.project.scratch) as launcher,
    ):
        networks = [_source(client, plan, run, Path(scratch)) for run in chosen.runs]
        spec = {"networks": networks, "files": files, "folder": scratch}
        scored = launcher.run(PROGRAM, spec, log, _follow)
        found = {run.info.run_id: _evidence(run, scored) for run in chosen.runs}
    return found, {one["run_id"]: one["source"] for one in networks}


def _evidence(run: "Run", scored: dict[str, Any]) -> Evidence:
    one = scored[run.info.run_id]
    # What was measured on the images of then is of no use beside those of now.
    lasting = {
        name: value
        for name, value in run.data.metrics.items()
        if not name.startswith(("test/", "interval/"))
    }
    return Evidence(
        classes=tuple(one["classes"]),
        digest=one["digest"],
        correct=np.load(one["correct"], allow_pickle=False),
        metrics={**lasting, **one["metrics"]},
    )


def _follow(event: dict[str, Any]) -> None:
    report(Step(STEP, "running", event["source"]))


def _source(client: "MlflowClient", plan: Plan, run: "Run", scratch: Path) -> dict[str, str]:
    """Bring a network's verified files; say where they are and what they are."""
    run_id = run.info.run_id
    if registered := registry.of_run(client, run_id):
        source = f"{registered.name} version {registered.version}"
        folder = scratch / run_id
        there = registry.download(registered, folder, os.environ["MLFLOW_TRACKING_URI"])
        return {"run_id": run_id, "source": source, "registered": str(there)}
    folder = plan.project.runs / run.data.tags.get(tracking.KEY, "-")[:32]
    result = finished(folder)
    stamped = run.data.tags.get("convoy.weights_sha256")
    if result is None or stamped != result.weights_sha256:
        raise NotReproducible(
            f"run {lookup.short(run)} cannot be scored again: no registered model is from it, and "
            f"its weights are not in {folder}; train it again, or compare without it."
        )
    if not (folder / "architecture.json").is_file():
        raise NotReproducible(
            f"run {lookup.short(run)} cannot be scored again: {folder} has no architecture.json, "
            f"being from before this release; `convoy run` writes it."
        )
    source = f"its training of seed {run.data.params.get('seed', '?')} here"
    return {"run_id": run_id, "source": source, "trained": str(folder)}
