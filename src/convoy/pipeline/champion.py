"""The champion, scored again on the test split as it is by now, and recorded."""

import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from convoy import digests, registry, store, tracking, versions
from convoy.errors import UsageError
from convoy.plan import Plan
from convoy.programs.launcher import Launcher

PROGRAM = "convoy.evaluation.rescoring"
VERSION = "convoy.model_version"


class Rescored(BaseModel):
    """A version's scores on the present test split, beside those that it was registered with."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    alias: str
    dataset: str
    dataset_version: str
    registered_on: str
    """The dataset version that it was trained on."""
    experiment_id: str
    run_id: str
    kept: bool
    """True where it had been scored on this dataset version before."""
    metrics: dict[str, float]
    before: dict[str, float]


def rescore(plan: Plan, alias: str, flow_run: str) -> Rescored:
    """Score what an alias of the dataset's model names; record it as a run of its own, once.

    Raises `UsageError` where nothing has the alias yet, `NotReproducible` for files that are not
    those that were registered, and what the scoring program refuses.
    """
    client, name = store.connect(plan.project), plan.data.model
    chosen = registry.by_alias(client, name, alias)
    if chosen is None:
        raise UsageError(f"{name} has no {alias} yet: `convoy run --dataset {plan.dataset}` first.")
    version = versions.current(plan.project, plan.dataset)
    experiment = store.experiment(client, plan.project, plan.dataset)
    key = digests.values(
        "evaluation", name, chosen.version, chosen.tags.get(registry.KEY, ""), version.digest
    )
    found = tracking.find(client, experiment, key)
    kept = tracking.is_finished(found)
    if found is not None and kept:
        run_id, metrics = str(found.info.run_id), dict(found.data.metrics)
    else:
        stamps = tracking.Stamps(
            *plan.project.commit(), plan.dataset, version.hash, version.digest, flow_run
        )
        title = f"evaluation of {name} version {chosen.version}"
        run_id = tracking.open_sweep(client, experiment, key, title, stamps, "evaluation")
        try:
            metrics = _metrics(plan, chosen, run_id, version.files, client.tracking_uri)
            tracking.log_metrics(client, run_id, metrics)
            note = f"{title} (`{alias}`) on {plan.dataset}, dataset version {version.hash}."
            tracking.describe(client, run_id, note, {VERSION: f"{name}/{chosen.version}"})
        except BaseException as error:
            failed = isinstance(error, Exception)
            tracking.close(client, run_id, "FAILED" if failed else "KILLED")
            raise
        tracking.close(client, run_id)
    return Rescored(
        model=name,
        version=chosen.version,
        alias=alias,
        dataset=plan.dataset,
        dataset_version=version.hash,
        registered_on=chosen.tags.get("convoy.dataset_version", ""),
        experiment_id=experiment,
        run_id=run_id,
        kept=kept,
        metrics=metrics,
        before=registry.logged_metrics(client, chosen),
    )


def _metrics(
    plan: Plan, chosen: registry.Registered, run_id: str, files: dict[str, str], uri: str
) -> dict[str, float]:
    log = plan.project.state / "programs.log"
    with (
        tempfile.TemporaryDirectory() as scratch,
        Launcher(PROGRAM, log=log, scratch=plan.project.scratch) as launcher,
    ):
        there = registry.download(chosen, Path(scratch) / "model", uri)
        source = f"{chosen.name} version {chosen.version}"
        network = {"run_id": run_id, "source": source, "registered": str(there)}
        spec: dict[str, Any] = {"networks": [network], "files": files, "folder": scratch}
        found = launcher.run(PROGRAM, spec, log, lambda event: None)
    metrics: dict[str, float] = found[run_id]["metrics"]
    return metrics
