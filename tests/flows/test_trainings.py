"""The same trainings in two projects: stopped again and again in one, left alone in the other."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from convoy.files import read_json
from tests.flows.conftest import NewProject
from tests.terminal import Done, convoy, environment

# Its projects take six commands and two: five minutes.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

EPOCHS = {"mlp": 60, "lenet5": 40}
"""Far more than are awaited below: on a busy machine a training runs ahead of whoever watches."""
SETTINGS = [f"--set=recipes.{name}.epochs={epochs}" for name, epochs in EPOCHS.items()]
OPTIONS = ("--json", "--deterministic", *SETTINGS)

End = Callable[[psutil.Process], None]


@dataclass(frozen=True)
class Stop:
    """How a command ended that was stopped, and what it left."""

    code: int
    lines: list[str]
    """What it printed."""
    orphans: list[str]
    statuses: dict[str, str]
    """Of the trainings in MLflow, by architecture."""
    flow_run: str
    """The state of the newest one in Prefect."""


@dataclass(frozen=True)
class Stopped:
    """A project with four stops of one command, then that command to its end, then `train`."""

    root: Path
    stops: dict[str, Stop]
    run: Done
    train: Done


@dataclass(frozen=True)
class Alone:
    """A project that begins with `convoy train`, then has `convoy run` do the rest."""

    root: Path
    train: Done
    registered: int
    """The models after `convoy train`."""
    run: Done


def terminate(process: psutil.Process) -> None:
    process.send_signal(signal.SIGTERM)


def interrupt(process: psutil.Process) -> None:
    """As Ctrl-C does it: all processes in the foreground of a terminal."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt_until_it_ends(process: psutil.Process) -> None:
    while process.status() != psutil.STATUS_ZOMBIE:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)


def terminate_the_training(process: psutil.Process) -> None:
    (parent,) = (one for one in process.children() if "convoy.programs.preloaded" in one.cmdline())
    (training,) = parent.children()
    training.send_signal(signal.SIGTERM)


STOPS: dict[str, tuple[str, End]] = {
    "SIGTERM": ("train mlp: epoch 4/", terminate),
    "Ctrl-C": ("train mlp: epoch 8/", interrupt),
    "SIGTERM to the training": ("train lenet5: epoch 2/", terminate_the_training),
    "Ctrl-C twice": ("train lenet5: epoch 5/", interrupt_until_it_ends),
}
SENTENCES = {
    "SIGTERM": "stopped; the same command goes on from here.",
    "Ctrl-C": "stopped; the same command goes on from here.",
    "SIGTERM to the training": "the training of lenet5 was stopped: run again, it goes on from "
    "there.",
    "Ctrl-C twice": "stopped at once; the same command goes on from the last checkpoint.",
}


@pytest.fixture(scope="module")
def stopped(new_project: NewProject) -> Stopped:
    root = new_project("stopped")
    stops = {name: stop(root, awaited, end) for name, (awaited, end) in STOPS.items()}
    done = convoy(root, "run", *OPTIONS)
    return Stopped(root, stops, done, convoy(root, "train", "mlp", *OPTIONS))


@pytest.fixture(scope="module")
def alone(new_project: NewProject) -> Alone:
    root = new_project("alone")
    done = convoy(root, "train", "mlp", *OPTIONS)
    registered = len(client_of(root).search_registered_models())
    return Alone(root, done, registered, convoy(root, "run", *OPTIONS))


def stop(root: Path, awaited: str, end: End) -> Stop:
    """Run the command until it says what is awaited, then end it."""
    log = root.parent / "output"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", "run", *OPTIONS],
            cwd=root,
            env=environment(root),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
        while awaited not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        owner = psutil.Process(process.pid)
        family = owner.children(recursive=True)
        end(owner)
        process.wait(60)
    _, left = psutil.wait_procs(family, timeout=5)
    orphans = [" ".join(one.cmdline()) for one in left]
    for one in left:
        one.kill()
    statuses = {name: run.info.status for name, run in trainings(root).items()}
    with closing(sqlite3.connect(root / ".convoy/prefect/prefect.db")) as database:
        query = "select state_type from flow_run order by created desc limit 1"
        (flow_run,) = database.execute(query).fetchone()
    lines = log.read_text().splitlines()
    return Stop(process.returncode, lines, orphans, statuses, flow_run)


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root / '.convoy' / 'mlflow.db'}")


def trainings(root: Path) -> dict[str, Run]:
    client = client_of(root)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`convoy.architecture` != ''")
    assert len(runs) == len({run.info.run_name for run in runs}), "one run an architecture"
    return {run.info.run_name: run for run in runs}


def weights(root: Path) -> dict[str, str]:
    """The sha256 of each training's weights."""
    folders = (root / ".convoy" / "runs").iterdir()
    results: Any = [read_json(folder / "result.json") for folder in folders]
    return {found["architecture"]: found["weights_sha256"] for found in results}


@pytest.mark.parametrize("name", STOPS)
def test_a_stopped_run_says_so_in_one_sentence_and_leaves_no_process(
    stopped: Stopped, name: str
) -> None:
    ended = stopped.stops[name]
    assert (ended.code, ended.lines[-1]) == (130, f"convoy: {SENTENCES[name]}")
    assert not [line for line in ended.lines[:-1] if not line.startswith("20")], "no traceback"
    assert ended.orphans == []


@pytest.mark.parametrize("name", ["SIGTERM", "Ctrl-C", "SIGTERM to the training"])
def test_mlflow_and_prefect_know_that_it_was_stopped(stopped: Stopped, name: str) -> None:
    ended = stopped.stops[name]
    one = {"mlp": "FINISHED", "lenet5": "KILLED"} if "training" in name else {"mlp": "KILLED"}
    assert (ended.statuses, ended.flow_run) == (one, "CANCELLED")


def test_after_all_stops_the_command_goes_on_in_the_same_mlflow_runs(stopped: Stopped) -> None:
    assert stopped.run.code == 0, stopped.run.err
    client = client_of(stopped.root)
    for name, run in trainings(stopped.root).items():
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "val/loss")
        assert [metric.step for metric in history] == list(range(1, EPOCHS[name] + 1))


def test_the_weights_are_those_of_trainings_that_nobody_stopped(
    stopped: Stopped, alone: Alone
) -> None:
    assert set(weights(alone.root)) == set(EPOCHS)
    assert weights(stopped.root) == weights(alone.root)


def test_train_says_what_came_of_one_architecture_and_registers_nothing(alone: Alone) -> None:
    assert alone.train.code == 0, alone.train.err
    assert "train mlp: done" in alone.train.err and "gate" not in alone.train.err
    found = alone.train.json()
    (row,) = found["rows"]
    run = trainings(alone.root)["mlp"]
    assert (row["architecture"], row["run_id"], row["kept"]) == ("mlp", run.info.run_id, False)
    assert row["test_accuracy"] == run.data.metrics["test/accuracy"] > 0.8
    assert run.data.tags["mlflow.parentRunId"] == found["run_id"]
    assert run.data.tags["convoy.dataset_version"] == found["dataset_version"]
    assert alone.registered == 0


def test_a_run_keeps_what_train_has_trained_and_registers_the_best(alone: Alone) -> None:
    assert alone.run.code == 0, alone.run.err
    found = alone.run.json()
    assert {row["architecture"]: row["kept"] for row in found["rows"]} == {
        "mlp": True,
        "lenet5": False,
    }
    assert found["alias"] == "champion"


def test_train_keeps_what_a_run_has_trained(stopped: Stopped) -> None:
    (row,) = stopped.train.json()["rows"]
    assert row["kept"] and row["run_id"] == trainings(stopped.root)["mlp"].info.run_id
