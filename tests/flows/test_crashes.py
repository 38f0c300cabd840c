"""`kill -9` at a bad moment, the same command again, and nothing is lost, doubled or left open."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.flows.conftest import NewProject
from tests.terminal import Done, convoy, environment

pytestmark = pytest.mark.slow

EPOCHS = 60
COMMAND = ("run", "--json", "--architectures", "mlp", "--set", f"recipes.mlp.epochs={EPOCHS}")


@dataclass(frozen=True)
class Crash:
    """A run that was killed in the midst of a training, and the same command after it."""

    root: Path
    before: Run
    epochs_before: int
    orphans: list[str]
    done: Done


@pytest.fixture(scope="module")
def crash(new_project: NewProject) -> Crash:
    root = new_project("crash")
    log = root / ".convoy-stderr"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", *COMMAND],
            cwd=root,
            env=environment(root),
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
        deadline = time.monotonic() + 240
        while "epoch 5/" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    log.unlink()
    _, left = psutil.wait_procs(family, timeout=15)
    orphans = [" ".join(child.cmdline()) for child in left]
    for child in left:
        child.kill()
    (before,) = mlp_runs(root)
    epochs = len(client_of(root).get_metric_history(before.info.run_id, "val/loss"))
    return Crash(root, before, epochs, orphans, convoy(root, *COMMAND))


def client_of(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def mlp_runs(root: Path) -> list[Run]:
    client = client_of(root)
    found = client.search_runs([digits_experiment(client)], "tags.`convoy.architecture` = 'mlp'")
    return list(found)


def digits_experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name("digits")
    assert found is not None
    return str(found.experiment_id)


def test_no_process_outlives_a_run_that_was_killed(crash: Crash) -> None:
    assert crash.orphans == []


def test_the_same_command_resumes_the_same_mlflow_run(crash: Crash) -> None:
    assert crash.done.code == 0, crash.done.err
    assert crash.before.info.status == "RUNNING"
    assert 0 < crash.epochs_before < EPOCHS
    (run,) = mlp_runs(crash.root)
    assert run.info.run_id == crash.before.info.run_id
    assert run.info.status == "FINISHED"
    (row,) = crash.done.json()["rows"]
    assert row["run_id"] == run.info.run_id


def test_no_epoch_is_logged_twice_or_missing(crash: Crash) -> None:
    client = client_of(crash.root)
    run = client.get_run(crash.before.info.run_id)
    for name in ("train/loss", "val/loss", "val/accuracy"):
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == list(range(1, EPOCHS + 1)), name
    query = "select key, step from metrics where run_uuid = ?"
    with closing(sqlite3.connect(crash.root / ".convoy/mlflow.db")) as database:
        rows: list[Any] = database.execute(query, (run.info.run_id,)).fetchall()
    assert set(Counter(rows).values()) == {1}


def test_one_version_is_registered_and_nothing_is_left_running(crash: Crash) -> None:
    client = client_of(crash.root)
    (version,) = client.search_model_versions("name='digits'")
    assert (str(version.version), version.run_id) == ("1", crash.before.info.run_id)
    statuses = [run.info.status for run in client.search_runs([digits_experiment(client)])]
    assert sorted(statuses) == ["FINISHED", "FINISHED", "KILLED"]


def test_the_killed_flow_run_is_not_left_running_in_prefect(crash: Crash) -> None:
    with closing(sqlite3.connect(crash.root / ".convoy/prefect/prefect.db")) as database:
        states = [row[0] for row in database.execute("select state_type from flow_run")]
        tasks = [row[0] for row in database.execute("select state_type from task_run")]
    assert sorted(states) == ["COMPLETED", "CRASHED"]
    assert set(tasks) <= {"COMPLETED", "RUNNING"}, "a killed task's state is its flow run's"
