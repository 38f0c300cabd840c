"""Two devices train together from within a flow, which is run once all the same.

Lightning's own launcher would run the whole command again for the second one.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convoy.files import read_json
from tests.flows.conftest import NewProject
from tests.flows.test_crashes import client_of, digits_experiment
from tests.terminal import Done, convoy

pytestmark = pytest.mark.soak


@dataclass(frozen=True)
class Together:
    root: Path
    done: Done


@pytest.fixture(scope="module")
def together(new_project: NewProject) -> Together:
    root = new_project("devices")
    two = {"CONVOY_DEVICES": "2"}
    return Together(root, convoy(root, "train", "mlp", "--json", more=two))


def test_the_training_is_whole(together: Together) -> None:
    assert together.done.code == 0, together.done.err
    (row,) = together.done.json()["rows"]
    assert row["test_accuracy"] > 0.7
    (told,) = (together.root / ".convoy/runs").glob("*/spec.json")
    spec: Any = read_json(told)
    assert spec["devices"] == 2, "which PyTorch's launcher was given"


def test_flow_and_tasks_are_run_once(together: Together) -> None:
    with closing(sqlite3.connect(together.root / ".convoy/prefect/prefect.db")) as database:
        flows = database.execute("select state_type from flow_run").fetchall()
        tasks = database.execute("select name, state_type from task_run").fetchall()
    assert flows == [("COMPLETED",)]
    assert len({name for name, _ in tasks}) == len(tasks)
    assert {state for _, state in tasks} == {"COMPLETED"}


def test_mlflow_has_one_run_of_the_training_and_each_epoch_once(together: Together) -> None:
    client = client_of(together.root)
    runs = client.search_runs([digits_experiment(client)])
    trained = [run for run in runs if run.data.tags.get("convoy.architecture") == "mlp"]
    assert len(runs) == 2 and len(trained) == 1
    history = client.get_metric_history(trained[0].info.run_id, "val/loss")
    assert [metric.step for metric in history] == [1, 2, 3, 4]
