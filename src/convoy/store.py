"""The way to MLflow's store: reached by one client, created by one process."""

import os
import re

from alembic.util.exc import CommandError
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from convoy import views
from convoy.errors import ConvoyError
from convoy.project import Project


def connect(project: Project) -> MlflowClient:
    """Return a client, its database created by one process alone.

    Two processes that create it at once both fail in its migrations. Raises `ConvoyError` where the
    store is damaged, in use or away.
    """
    uri = os.environ["MLFLOW_TRACKING_URI"]
    try:
        with FileLock(project.state / "mlflow.lock"):
            client = MlflowClient(uri, uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        raise ConvoyError(_store_sentence(uri, error)) from error
    return client


def _store_sentence(uri: str, error: Exception) -> str:
    shown = re.sub(r"//[^/@]*@", "//", uri)
    words = str(error)
    if "not a database" in words or "malformed" in words or "Can't locate revision" in words:
        return (
            f"{shown} is damaged or not an MLflow database: move the file aside and run again, or "
            f"restore it from a backup."
        )
    if "locked" in words:
        return f"{shown} is in use by another program that locks it: end that one and run again."
    return f"the MLflow store {shown} does not answer: {words.splitlines()[0]}"


def experiment(client: MlflowClient, project: Project, dataset: str) -> str:
    """Return the experiment of a dataset, created where it is missing."""
    if found := client.get_experiment_by_name(dataset):
        return str(found.experiment_id)
    # A server keeps artifacts where it says; without one they lie beside the database.
    local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite")
    place = (project.state / "artifacts" / dataset).as_uri() if local else None
    try:
        created = str(client.create_experiment(dataset, artifact_location=place))
        views.offer(client, created)
        return created
    except MlflowException:
        if found := client.get_experiment_by_name(dataset):
            return str(found.experiment_id)
        raise
