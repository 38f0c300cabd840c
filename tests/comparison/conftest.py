"""A store of its own for each test, with nothing in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from convoy import store as mlflow_store
from convoy.plan import make_plan
from convoy.project import Project
from tests.comparison.trackings import Tracking
from tests.stores import new_store


@pytest.fixture
def store(
    repository: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Tracking:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    monkeypatch.setenv("CONVOY_MLFLOW_PORT", "5055")
    plan = replace(make_plan(Project(repository)), project=project)
    return Tracking(plan, client, mlflow_store.experiment(client, project, "digits"), tmp_path)
