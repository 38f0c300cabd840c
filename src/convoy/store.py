"""The way to MLflow's store: reached by one client, created by one process."""

import os
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

from alembic.util.exc import CommandError
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from convoy import server_versions, views
from convoy.client import Client, once, sentence
from convoy.errors import ConvoyError
from convoy.project import Project
from convoy.registry import COLLECTED

KEY = "convoy.key"
REQUEST = "convoy.request"
ARRIVAL = 10.0
"""Seconds that a server is waited for by a command that begins."""


def connect(project: Project) -> Client:
    """Return a client, its database created by one process alone.

    Two processes that create it at once both fail in its migrations. Raises `ConvoyError` where the
    store is damaged, in use, not this user's, or away, or its server's version does not fit.
    """
    uri = os.environ["MLFLOW_TRACKING_URI"]
    try:
        with FileLock(project.state / "mlflow.lock", mode=0o666):
            client = Client(uri)
            patience, client.patience = client.patience, min(client.patience, ARRIVAL)
            client.search_experiments(max_results=1)
            client.patience = patience
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        raise ConvoyError(sentence(uri, str(error))) from error
    if uri.startswith("http"):
        with suppress(server_versions.NoVersion):  # it answers, whatever it says of itself
            server_versions.check_mlflow(uri)
    return client


def experiment(client: MlflowClient, project: Project, dataset: str) -> str:
    """Return the experiment of a dataset, created where it is missing."""
    # A server keeps artifacts where it says; without one they lie beside the database.
    local = client.tracking_uri.startswith("sqlite")
    place = (project.state / "artifacts" / dataset).as_uri() if local else None

    def create() -> None:
        views.offer(client, str(client.create_experiment(dataset, artifact_location=place)))

    def read() -> list[tuple[str, str]]:
        found = client.get_experiment_by_name(dataset)
        return [(str(found.experiment_id), str(found.lifecycle_stage))] if found else []

    identity, stage = once(client, read, create)
    if stage != "active":
        raise ConvoyError(
            f"the experiment {dataset!r} was deleted in MLflow: restore it there (`mlflow "
            f"experiments restore --experiment-id {identity}`) and run again."
        )
    return identity


def registered_model(client: MlflowClient, name: str) -> RegisteredModel:
    """Return a registered model, created where it is missing."""

    def read() -> list[RegisteredModel]:
        try:
            return [client.get_registered_model(name)]
        except MlflowException:
            return []

    return once(client, read, lambda: client.create_registered_model(name))


def logged_model(
    client: MlflowClient, experiment: str, name: str, run_id: str, tags: Mapping[str, str]
) -> LoggedModel:
    """Create a model of a run, whose files come next; one that came twice goes."""
    request = uuid4().hex
    own = {**tags, REQUEST: request}

    def read() -> list[LoggedModel]:
        asked = f"tags.`{REQUEST}` = '{request}'"
        return list(client.search_logged_models([experiment], asked))

    def create() -> None:
        client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=own)

    return once(client, read, create, lambda extra: client.delete_logged_model(extra.model_id))


def output(client: MlflowClient, run_id: str, model_id: str) -> None:
    """Say of a model that a run made it; MLflow refuses to be told twice."""

    def read() -> list[str]:
        outputs = client.get_run(run_id).outputs
        found = outputs.model_outputs if outputs else []
        return [model_id for one in found if one.model_id == model_id]

    once(client, read, lambda: client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)]))


def model_version(
    client: MlflowClient,
    name: str,
    key: str,
    source: str,
    run_id: str,
    tags: Mapping[str, str],
    model_id: str | None = None,
) -> ModelVersion:
    """Return the first version of a key, created where there is none; one that came twice goes."""
    registered_model(client, name)
    request = uuid4().hex
    own = {**tags, KEY: key, REQUEST: request}

    def read() -> list[ModelVersion]:
        found = client.search_model_versions(f"name='{name}' and tags.`{KEY}`='{key}'")
        whole = (version for version in found if COLLECTED not in version.tags)
        return sorted(whole, key=lambda version: int(version.version))

    def create() -> None:
        client.create_model_version(name, source, run_id or None, own, model_id=model_id)

    def drop(extra: ModelVersion) -> None:
        if extra.tags.get(REQUEST) == request:
            client.delete_model_version(name, str(extra.version))

    return once(client, read, create, drop)
