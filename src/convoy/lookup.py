"""Runs in MLflow as people name them, by the beginnings of their ids, and what they kept."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from convoy.client import pages
from convoy.errors import CLOSE, UsageError
from convoy.tracking import FLOW_RUN, TRAININGS, run_name

SHORT = 8
"""Characters of a run id that tables show."""
NEWEST = 5
"""How many runs a refusal names where none is near."""


def short(run: Run) -> str:
    """Return a run as sentences name it."""
    return f"{run.info.run_id[:SHORT]} ({run_name(run)})"


def experiment_id(client: MlflowClient, dataset: str) -> str | None:
    """Return the experiment of a dataset, if it has one."""
    found = client.get_experiment_by_name(dataset)
    return str(found.experiment_id) if found else None


def experiment_name(client: MlflowClient, run: Run) -> str:
    return str(client.get_experiment(run.info.experiment_id).name)


def runs_named(client: MlflowClient, named: Sequence[str]) -> list[Run]:
    """Return the runs of these ids, or beginnings of ids, each once.

    Raises `UsageError` for one that is unknown, ambiguous or deleted, with the nearest ones.
    """
    places = [str(found.experiment_id) for found in client.search_experiments()]
    found = [_run(client, places, one.strip()) for one in named]
    return list({run.info.run_id: run for run in found}.values())


def _run(client: MlflowClient, places: list[str], named: str) -> Run:
    found: Sequence[Run] = []
    if re.fullmatch(r"[0-9a-fA-F]{1,32}", named):
        beginning = f"attributes.run_id LIKE '{named.lower()}%'"
        found = client.search_runs(places, beginning, ViewType.ALL, max_results=NEWEST + 1)
    if not found:
        raise UsageError(f"MLflow knows no run {named!r}: {_nearest(client, places, named)}")
    if len(found) > 1:
        some = ", ".join(short(run) for run in found[:NEWEST])
        more = " and more" if len(found) > NEWEST else ""
        raise UsageError(f"{named!r} begins the ids of {some}{more}: give more of the id.")
    if found[0].info.lifecycle_stage == "deleted":
        raise UsageError(
            f"run {short(found[0])} was deleted: `mlflow runs restore --run-id "
            f"{found[0].info.run_id}` brings it back."
        )
    return found[0]


def _nearest(client: MlflowClient, places: list[str], named: str) -> str:
    newest = client.search_runs(places, max_results=200, order_by=["attributes.start_time DESC"])
    trainings = [run for run in newest if "architecture" in run.data.params]
    if not trainings:
        return "there is none yet, start with `convoy run`."
    # As an id, of which only a beginning may be given, or as the name that it is shown with.
    by_text = {run.info.run_id[: len(named)]: run for run in reversed(trainings)}
    by_text |= {run_name(run): run for run in reversed(trainings)}
    if named and (near := get_close_matches(named, by_text, 1, CLOSE)):
        return f"did you mean {short(by_text[near[0]])}?"
    return f"the newest are {', '.join(map(short, trainings[:NEWEST]))}."


def children(client: MlflowClient, run: Run) -> list[Run]:
    """Return the runs below one, the oldest first."""
    parent = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    order = ["attributes.start_time ASC"]
    there = [run.info.experiment_id]
    return list(
        pages(lambda token: client.search_runs(there, parent, order_by=order, page_token=token))
    )


def fetch(client: MlflowClient, run: Run, artifact: str, folder: Path) -> Path | None:
    """Bring a file that a run keeps into `folder`; None where the run, or its store, has it not."""
    try:
        return Path(client.download_artifacts(run.info.run_id, artifact, str(folder)))
    except (MlflowException, OSError):
        return None


def of_flow_run(client: MlflowClient, flow_run: str) -> Run | None:
    """Return the pipeline run that a flow run has finished, if there is one."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    asked = f"tags.`{FLOW_RUN}` = '{flow_run}' and tags.`{TRAININGS}` != ''"
    found = client.search_runs(experiments, asked, max_results=1)
    return found[0] if found else None
