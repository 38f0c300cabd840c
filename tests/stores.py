"""Real MLflow stores for tests: SQLite files, whose migrations run once a session."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from convoy import registry, store
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


def add_whole_version(
    project: Project,
    client: MlflowClient,
    name: str,
    key: str,
    tags: Mapping[str, str],
    graph: bytes = b"",
) -> str:
    """Register what passes for a network: files of its own that verify. Return its number."""
    experiment = store.experiment(client, project, name)
    own = {registry.KEY: key, **tags}
    run_id = client.create_run(experiment, tags=own).info.run_id
    client.set_terminated(run_id)
    logged = store.logged_model(client, experiment, "mlp", run_id, own)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "model.pt2").write_bytes(graph or f"graph of {key}".encode() * 1000)
        (folder / "MLmodel").write_text("flavors: {}")
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        own[registry.MANIFEST] = json.dumps(registry.file_manifest(folder))
    source = f"models:/{logged.model_id}"
    made = store.model_version(client, name, key, source, run_id, own, logged.model_id)
    return str(made.version)


def _open(project: Project, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    project.create_state()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.database}")
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")
    assert os.environ["MLFLOW_TRACKING_URI"].endswith(str(project.database))
    return store.connect(project)
