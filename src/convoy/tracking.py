"""Runs in MLflow: one experiment a dataset, a parent run a pipeline or sweep, a child a training.

Every run carries three stamps: the Git commit (and whether the tree was dirty), the dataset's DVC
hash, the Prefect flow run. A run is found again by its key, because clients retry and at-least-once
is all that a tracking server promises.
"""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)

from convoy.client import once, pages
from convoy.errors import ConvoyError
from convoy.owners import is_alive, this_owner
from convoy.surroundings import surroundings

KEY = "convoy.key"
COMMIT = "convoy.commit"
DIRTY = "convoy.dirty"
VERSION = "convoy.dataset_version"
DIGEST = "convoy.dataset_digest"
FLAGGED = "convoy.dataset_flagged"
FLOW_RUN = "convoy.flow_run"
ARCHITECTURE = "convoy.architecture"
TRAININGS = "convoy.trainings"
ENDED = "convoy.ended"
SURROUNDINGS = "convoy.surroundings"
OWNER = "convoy.owner"
REQUEST = "convoy.request"
"""One value for each opening of a run: requests that arrived twice have the same."""


@dataclass(frozen=True)
class Stamps:
    """What made a run: code, data, flow."""

    commit: str
    dirty: bool
    dataset: str
    version: str
    digest: str
    flow_run: str

    def tags(self) -> dict[str, str]:
        return {
            COMMIT: self.commit,
            DIRTY: str(self.dirty).lower(),
            VERSION: self.version,
            DIGEST: self.digest,
            FLOW_RUN: self.flow_run,
            MLFLOW_GIT_COMMIT: self.commit,
            MLFLOW_SOURCE_NAME: "convoy",
        }


def settle(client: MlflowClient, experiment_id: str) -> list[str]:
    """End the runs whose owner is gone, here, as KILLED; return their ids."""
    dead = []
    for run in running(client, experiment_id):
        owner = run.data.tags.get(OWNER, "")
        if owner and not is_alive(owner):
            client.set_terminated(run.info.run_id, "KILLED")
            dead.append(run.info.run_id)
    return dead


def running(client: MlflowClient, experiment_id: str, more: str = "") -> list[Run]:
    """Return all that run, before any is ended: pages are counted by what is left."""
    asked, there = f"{more}attributes.status = 'RUNNING'", [experiment_id]
    return list(pages(lambda token: client.search_runs(there, asked, page_token=token)))


def flow_runs(client: MlflowClient, run_ids: Iterable[str]) -> set[str]:
    """Return the Prefect flow runs that these runs are stamped with."""
    tags = (client.get_run(run_id).data.tags for run_id in run_ids)
    return {found[FLOW_RUN] for found in tags if FLOW_RUN in found}


def open_pipeline(client: MlflowClient, experiment_id: str, name: str, stamps: Stamps) -> str:
    """Start the parent run of a pipeline."""
    run = _create(client, experiment_id, uuid4().hex, name, stamps.tags())
    _log_dataset(client, run.info.run_id, stamps, "pipeline")
    return str(run.info.run_id)


def open_sweep(
    client: MlflowClient,
    experiment_id: str,
    key: str,
    name: str,
    stamps: Stamps,
    context: str = "sweep",
) -> str:
    """Start the parent run of a sweep, or of another `context`; go on in one that was cut off."""
    if run := find(client, experiment_id, key):
        _reopen(client, run)
    else:
        run = _create(client, experiment_id, key, name, stamps.tags())
    _log_dataset(client, run.info.run_id, stamps, context)
    return str(run.info.run_id)


def find(client: MlflowClient, experiment_id: str, key: str) -> Run | None:
    """Return the first run of this key, if there is one."""
    found = _of_key(client, experiment_id, key)
    return found[0] if found else None


def _of_key(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    return list(client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", order_by=order))


def _create(
    client: MlflowClient, experiment_id: str, key: str, name: str, tags: Mapping[str, str]
) -> Run:
    """Start the run of a key, one alone where the server's answer is lost as well."""
    request = uuid4().hex
    own = {**tags, KEY: key, OWNER: this_owner(), REQUEST: request}
    began = int(time.time() * 1000)

    def create() -> None:
        client.create_run(experiment_id, start_time=began, run_name=name, tags=own)

    def drop(extra: Run) -> None:
        if extra.data.tags.get(REQUEST) == request:
            client.delete_run(extra.info.run_id)

    return once(client, lambda: _of_key(client, experiment_id, key), create, drop)


def open_training(
    client: MlflowClient,
    experiment_id: str,
    parent: str,
    key: str,
    architecture: str,
    recipe: Mapping[str, Any],
    seed: int,
    stamps: Stamps,
    name: str = "",
) -> str:
    """Start the run of a training, or go on in the one that was cut off.

    A new one is named after its architecture where it has no `name` of its own.
    """
    if run := find(client, experiment_id, key):
        _reopen(client, run)
    else:
        tags = {
            **stamps.tags(),
            ARCHITECTURE: architecture,
            SURROUNDINGS: json.dumps(surroundings()),
            MLFLOW_PARENT_RUN_ID: parent,
        }
        run = _create(client, experiment_id, key, name or architecture, tags)
    # Again for a run that is there: a kill may have come between it and these.
    params = {"architecture": architecture, "seed": seed, **recipe}
    client.log_batch(
        run.info.run_id, params=[Param(name, str(value)) for name, value in params.items()]
    )
    _log_dataset(client, run.info.run_id, stamps, "training")
    return str(run.info.run_id)


def _reopen(client: MlflowClient, run: Run) -> None:
    client.update_run(run.info.run_id, status="RUNNING")
    client.set_tag(run.info.run_id, OWNER, this_owner())


def _log_dataset(client: MlflowClient, run_id: str, stamps: Stamps, context: str) -> None:
    source = {"path": f"data/prepared/{stamps.dataset}", "dvc": stamps.version}
    dataset = Dataset(
        name=stamps.dataset,
        # MLflow allows 36 characters: a DVC hash without its ending.
        digest=stamps.version.removesuffix(".dir"),
        source_type="dvc",
        source=json.dumps(source),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])


def epochs_logged(client: MlflowClient, run_id: str) -> int:
    """Return how many epochs a run already holds: MLflow would keep a second copy of each."""
    return len({metric.step for metric in client.get_metric_history(run_id, "val/loss")})


def log_epoch(client: MlflowClient, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
    """Log an epoch's metrics in one call."""
    now = int(time.time() * 1000)
    rows = [Metric(name, value, now, epoch) for name, value in metrics.items()]
    client.log_batch(run_id, metrics=rows)


def log_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], step: int = 0
) -> None:
    """Log final metrics, with the characters that MLflow refuses in a name replaced.

    Their time is the run's start, so that logging them again after a crash adds nothing.
    """
    time_of_all = client.get_run(run_id).info.start_time
    rows = [
        Metric(re.sub(r"[^\w\-. :/]", "_", name), value, time_of_all, step)
        for name, value in metrics.items()
    ]
    client.log_batch(run_id, metrics=rows)


def log_file(client: MlflowClient, run_id: str, file: Path, folder: str = "") -> None:
    """Keep a file with a run."""
    client.log_artifact(run_id, str(file), folder or None)


def describe(client: MlflowClient, run_id: str, note: str, tags: Mapping[str, str]) -> None:
    """Set a run's description (Markdown) and further tags."""
    rows = [RunTag(MLFLOW_RUN_NOTE, note), *(RunTag(k, v) for k, v in tags.items())]
    client.log_batch(run_id, tags=rows)


def mark(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set further tags of a run."""
    client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])


def flag(client: MlflowClient, run_id: str, reason: str) -> None:
    """Mark a run whose dataset version could not be had again elsewhere."""
    client.set_tag(run_id, FLAGGED, reason)


def close(client: MlflowClient, run_id: str, status: str = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    client.set_terminated(run_id, status)


def is_finished(run: Run | None) -> bool:
    return run is not None and run.info.status == RunStatus.to_string(RunStatus.FINISHED)


def latest_pipeline(client: MlflowClient, experiment_id: str) -> Run | None:
    """Return the last finished pipeline run."""
    found = client.search_runs(
        [experiment_id],
        f"tags.`{TRAININGS}` != '' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0] if found else None


def get_runs(client: MlflowClient, run_ids: Iterable[str]) -> list[Run]:
    """Return these runs. Raises `ConvoyError` for an id that MLflow does not know."""
    runs = []
    for run_id in run_ids:
        try:
            runs.append(client.get_run(run_id))
        except MlflowException as error:
            raise ConvoyError(f"MLflow knows no run {run_id!r}: {error.message}") from None
    return runs


def run_name(run: Run) -> str:
    return str(run.data.tags.get(MLFLOW_RUN_NAME, run.info.run_id))
