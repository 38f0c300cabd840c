"""The pipeline on a real cluster of several worker processes, some of them killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from convoy.files import read_json
from convoy.training.spec import finished
from tests.flows.conftest import NewProject
from tests.terminal import Done, convoy, environment, git

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

EPOCHS = {"mlp": 4, "lenet5": 40}
SETTINGS = [f"--set=recipes.{name}.epochs={epochs}" for name, epochs in EPOCHS.items()]
COMMAND = ("run", "--json", "--deterministic", *SETTINGS)
ENGINE = {"CONVOY_ENGINE": "dask:2"}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""What each of two workers on two cores has: sums in the same order."""


@dataclass(frozen=True)
class Killed:
    """A run on two workers, one of which was killed in the midst of a training."""

    root: Path
    worker: int
    before: Run
    done: Done
    orphans: list[str]


@pytest.fixture(scope="module")
def killed(new_project: NewProject) -> Killed:
    root = new_project("engine")
    log = root.parent / "output"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", *COMMAND],
            cwd=root,
            env=environment(root, ENGINE),
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        await_line(log, "train lenet5: epoch 4/", process)
        (before,) = trainings(root, "lenet5")
        worker = int(before.data.tags["convoy.owner"].split(":")[1])
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(worker, signal.SIGKILL)
        out, _ = process.communicate(timeout=400)
        family += [one for one in family if one.is_running()]
    _, left = psutil.wait_procs(family, timeout=15)
    orphans = [" ".join(one.cmdline()) for one in left]
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    return Killed(root, worker, before, Done(process.returncode, out, log.read_text()), orphans)


def await_line(log: Path, line: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 400
    while line not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root / '.convoy' / 'mlflow.db'}")


def trainings(root: Path, name: str) -> list[Run]:
    return trainings_in(client_of(root), name)


def trainings_in(client: MlflowClient, name: str) -> list[Run]:
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    asked = f"tags.`convoy.architecture` = '{name}'"
    return list(client.search_runs([experiment.experiment_id], asked))


def weights(root: Path) -> dict[str, str]:
    """The sha256 of each training's weights."""
    folders = (root / ".convoy" / "runs").iterdir()
    results: Any = [read_json(folder / "result.json") for folder in folders]
    return {found["architecture"]: found["weights_sha256"] for found in results}


def test_a_run_whose_worker_was_killed_comes_to_its_end(killed: Killed) -> None:
    assert killed.done.code == 0, killed.done.err
    assert "Traceback" not in killed.done.err
    found = killed.done.json()
    assert (found["alias"], found["version"], found["allowed"]) == ("champion", "1", True)
    assert {row["architecture"]: row["kept"] for row in found["rows"]} == dict.fromkeys(
        EPOCHS, False
    )
    assert killed.orphans == []


def test_another_worker_went_on_in_the_same_mlflow_run(killed: Killed) -> None:
    client = client_of(killed.root)
    for name, epochs in EPOCHS.items():
        (run,) = trainings(killed.root, name)
        assert run.info.status == "FINISHED"
        for metric in ("train/loss", "val/loss", "val/accuracy"):
            steps = [one.step for one in client.get_metric_history(run.info.run_id, metric)]
            assert sorted(steps) == list(range(1, epochs + 1)), (name, metric)
        key = run.data.tags["convoy.key"]
        result = finished(killed.root / ".convoy" / "runs" / key[:32])
        assert result and result.weights_sha256 == run.data.tags["convoy.weights_sha256"]
    (after,) = trainings(killed.root, "lenet5")
    assert after.info.run_id == killed.before.info.run_id
    assert int(after.data.tags["convoy.owner"].split(":")[1]) not in (killed.worker, os.getpid())
    statuses = Counter(
        run.info.status for run in client.search_runs([killed.before.info.experiment_id])
    )
    assert statuses == {"FINISHED": 3}


def test_the_same_run_again_trains_nothing(killed: Killed) -> None:
    again = convoy(killed.root, *COMMAND, more=ENGINE)
    assert again.code == 0, again.err
    assert again.json()["unchanged"]


def test_the_weights_and_the_verdict_are_those_of_a_run_on_one_machine(
    killed: Killed, new_project: NewProject
) -> None:
    root = new_project("alone")
    done = convoy(root, *COMMAND, more=ONE_THREAD)
    assert done.code == 0, done.err
    assert weights(root) == weights(killed.root)
    mine, theirs = done.json(), killed.done.json()
    for name in ("version", "alias", "champion", "allowed", "dataset_version"):
        assert mine[name] == theirs[name], name
    accuracies = [
        {row["architecture"]: row["test_accuracy"] for row in found["rows"]}
        for found in (mine, theirs)
    ]
    assert accuracies[0] == accuracies[1]
    assert git(root, "status", "--porcelain") == git(killed.root, "status", "--porcelain")
