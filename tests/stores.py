"""Real MLflow stores for tests: SQLite files, whose migrations run once a session."""

import os
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import store
from convoy.project import Project

_templates: dict[Path, Path] = {}


def new_store(
    root: Path, factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, MlflowClient]:
    """Return a project at `root` and a client of its own empty MLflow store."""
    base = factory.getbasetemp()
    if base not in _templates:
        _templates[base] = Project(factory.mktemp("store")).database
        _open(Project(_templates[base].parents[1]), monkeypatch)
    project = Project(root)
    project.create_state()
    shutil.copy(_templates[base], project.database)
    return project, _open(project, monkeypatch)


def add_versions(client: MlflowClient, name: str, count: int) -> None:
    """Register a model with versions that have no files: all that the journal looks at."""
    client.create_registered_model(name)
    for _ in range(count):
        client.create_model_version(name, source="file:///nowhere")


def _open(project: Project, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    project.create_state()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.database}")
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")
    assert os.environ["MLFLOW_TRACKING_URI"].endswith(str(project.database))
    return store.connect(project)
