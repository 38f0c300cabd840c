"""Runs side by side, from MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass

from convoy import store, tracking
from convoy.addresses import compare_address, mlflow_interface
from convoy.errors import UsageError
from convoy.plan import Plan


@dataclass(frozen=True)
class Compared:
    """One run's figures."""

    run_id: str
    name: str
    dataset_version: str
    commit: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Runs, and the address of the page that compares exactly them."""

    dataset: str
    runs: list[Compared]
    address: str


def compare(plan: Plan, run_ids: Sequence[str]) -> Comparison:
    """Compare the named runs, or the trainings of the last pipeline run on the plan's dataset.

    Raises `UsageError` where there is nothing to compare yet.
    """
    plan.project.create_state()
    client = store.connect(plan.project)
    experiment = store.experiment(client, plan.project, plan.dataset)
    chosen = list(run_ids)
    if not chosen:
        latest = tracking.latest_pipeline(client, experiment)
        if latest is None:
            raise UsageError(f"no finished run on {plan.dataset!r} yet: start with `convoy run`.")
        chosen = latest.data.tags[tracking.TRAININGS].split(",")
    runs = tracking.get_runs(client, chosen)
    compared = [
        Compared(
            run_id=run.info.run_id,
            name=tracking.run_name(run),
            dataset_version=run.data.tags.get(tracking.VERSION, ""),
            commit=run.data.tags.get(tracking.COMMIT, ""),
            metrics=dict(run.data.metrics),
        )
        for run in runs
    ]
    experiments = runs[0].info.experiment_id
    return Comparison(
        plan.dataset, compared, compare_address(mlflow_interface(), experiments, chosen)
    )
