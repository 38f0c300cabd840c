"""Runs that are open in MLflow and at work on some machine: whose they are, and their end.

A worker elsewhere is told to stop by the end of its run, which it looks for.
"""

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus

from convoy.owners import this_owner
from convoy.tracking import OWNER, close, running


def is_open(run: Run) -> bool:
    return bool(run.info.status == RunStatus.to_string(RunStatus.RUNNING))


def is_ours(client: MlflowClient, run_id: str) -> bool:
    """Tell whether a run is open and this process's own: nobody ended it or took it over."""
    run = client.get_run(run_id)
    return is_open(run) and run.data.tags.get(OWNER) == this_owner()


def end_children(client: MlflowClient, experiment_id: str, parent: str, status: str) -> None:
    """End the runs below one that still run, whoever they belong to."""
    for run in running(client, experiment_id, f"tags.mlflow.parentRunId = '{parent}' and "):
        close(client, run.info.run_id, status)
