"""The way to MLflow's store: reached by one client, created by one process."""

import os

from alembic.util.exc import CommandError
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from convoy.client import Client, once, sentence
from convoy.errors import ConvoyError
from convoy.project import Project

ARRIVAL = 10.0
"""Seconds that a server is waited for by a command that begins."""


def connect(project: Project) -> Client:
    """Return a client, its database created by one process alone.

    Two processes that create it at once both fail in its migrations. Raises `ConvoyError` where the
    store is damaged, in use, not this user's, or away.
    """
    uri = os.environ["MLFLOW_TRACKING_URI"]
    try:
        with FileLock(project.state / "mlflow.lock"):
            client = Client(uri)
            patience, client.patience = client.patience, min(client.patience, ARRIVAL)
            client.search_experiments(max_results=1)
            client.patience = patience
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        raise ConvoyError(sentence(uri, str(error))) from error
    return client


def experiment(client: MlflowClient, project: Project, dataset: str) -> str:
    """Return the experiment of a dataset, created where it is missing."""
    # A server keeps artifacts where it says; without one they lie beside the database.
    local = client.tracking_uri.startswith("sqlite")
    place = (project.state / "artifacts" / dataset).as_uri() if local else None

    def create() -> None:
        client.create_experiment(dataset, artifact_location=place)

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
