"""A sweep on a real cluster of several worker processes, one of them killed during a trial.

Its seed draws what `test_sweep` says.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow.entities import Run

from tests.flows.conftest import NewProject
from tests.flows.test_crashes import client_of, digits_experiment
from tests.flows.test_engine import await_line
from tests.flows.test_sweep import SWEEP, trial_runs
from tests.terminal import Done, convoy, environment, git

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

EPOCHS = 60
COMMAND = ("sweep", "mlp", "--json", "--set", f"recipes.mlp.epochs={EPOCHS}", "--set=run.seed=2")
ENGINE = {"CONVOY_ENGINE": "dask:2"}


@dataclass(frozen=True)
class Killed:
    """A sweep on two workers, one of which was killed in the midst of trial 0."""

    root: Path
    worker: int
    before: Run
    done: Done
    orphans: list[str]

    @property
    def rows(self) -> dict[int, dict[str, Any]]:
        return rows(self.done)


def rows(done: Done) -> dict[int, dict[str, Any]]:
    return {row["number"]: row for row in done.json()["rows"]}


def runs(root: Path) -> dict[int, Run]:
    return {int(run.data.tags["convoy.trial"]): run for run in trial_runs(root)}


def with_a_sweep(root: Path) -> Path:
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["sweeps"] = {"mlp": SWEEP}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "--quiet", "--all", "--message", "A sweep")
    return root


@pytest.fixture(scope="module")
def killed(new_project: NewProject) -> Killed:
    root = with_a_sweep(new_project("sweep-engine"))
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
        await_line(log, "trial 0: epoch 5/", process)
        before = runs(root)[0]
        worker = int(before.data.tags["convoy.owner"].split(":")[1])
        family = psutil.Process(process.pid).children(recursive=True)
        assert worker in [one.pid for one in family]
        os.kill(worker, signal.SIGKILL)
        out, _ = process.communicate(timeout=600)
    _, left = psutil.wait_procs(family, timeout=15)
    orphans = [" ".join(one.cmdline()) for one in left]
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    return Killed(root, worker, before, Done(process.returncode, out, log.read_text()), orphans)


def test_a_sweep_whose_worker_was_killed_comes_to_its_end(killed: Killed) -> None:
    assert killed.done.code == 0, killed.done.err
    assert "Traceback" not in killed.done.err
    assert sorted(killed.rows) == list(range(SWEEP["trials"]))  # type: ignore[call-overload]
    states = {number: row["state"] for number, row in killed.rows.items()}
    assert {n: states[n] for n in (2, 4, 5)} == {2: "pruned", 4: "pruned", 5: "failed"}
    assert "complete" in (states[0], states[1])
    assert killed.orphans == []


def test_each_trial_is_one_run_and_none_is_left_running(killed: Killed) -> None:
    found = runs(killed.root)
    assert len(trial_runs(killed.root)) == len(found) == 5
    assert found[0].info.run_id == killed.before.info.run_id
    assert killed.before.info.status == "RUNNING"
    assert int(found[0].data.tags["convoy.owner"].split(":")[1]) != killed.worker
    for number, run in found.items():
        row = killed.rows[number]
        assert run.info.run_id == row["run_id"]
        assert run.data.tags["mlflow.parentRunId"] == killed.done.json()["run_id"]
        pruned = row["state"] == "pruned"
        assert run.info.status == ("KILLED" if pruned else "FINISHED")
        assert run.data.tags["convoy.ended"] == ("pruned" if pruned else "epochs")
        assert not any(name.startswith("test/") for name in run.data.metrics)
    client = client_of(killed.root)
    everything = client.search_runs([digits_experiment(client)])
    assert not [run for run in everything if run.info.status == "RUNNING"]


def test_each_epoch_is_logged_once(killed: Killed) -> None:
    with closing(sqlite3.connect(killed.root / ".convoy/mlflow.db")) as database:
        query = "select run_uuid, key, step from metrics"
        assert set(Counter(database.execute(query).fetchall()).values()) == {1}
        query = "select step from metrics where run_uuid = ? and key = 'val/loss'"
        for row in killed.rows.values():
            steps = [step for (step,) in database.execute(query, (row["run_id"],))]
            if row["state"] == "complete":
                assert sorted(steps) == list(range(1, EPOCHS + 1))
            if row["number"] in (2, 4):
                assert 2 <= row["epochs"] <= len(steps) < EPOCHS, "it was stopped"


def test_the_same_sweep_again_does_nothing(killed: Killed) -> None:
    again = convoy(killed.root, *COMMAND, more=ENGINE)
    assert again.code == 0, again.err
    assert again.json() == {**killed.done.json(), "unchanged": True}


def test_the_trials_are_those_of_a_sweep_on_one_machine_to_the_bit(
    killed: Killed, new_project: NewProject
) -> None:
    root = with_a_sweep(new_project("sweep-alone"))
    done = convoy(root, *COMMAND)
    assert done.code == 0, done.err
    there = {number: row["values"] for number, row in killed.rows.items()}
    assert {number: row["values"] for number, row in rows(done).items()} == there
    weights = [
        {
            run.data.tags["convoy.key"]: run.data.tags["convoy.weights_sha256"]
            for number, run in runs(of).items()
            if found[number]["state"] == "complete"
        }
        for of, found in ((killed.root, killed.rows), (root, rows(done)))
    ]
    common = weights[0].keys() & weights[1].keys()
    assert common
    assert {key: weights[0][key] for key in common} == {key: weights[1][key] for key in common}


def test_the_pipeline_keeps_the_best_trial(killed: Killed) -> None:
    settings = killed.done.json()["settings"]
    changes = [part for setting in settings for part in ("--set", setting)]
    done = convoy(killed.root, "run", "--json", "--architectures", "mlp", *changes, more=ENGINE)
    assert done.code == 0, done.err
    (row,) = done.json()["rows"]
    assert row["kept"] and row["run_id"] == killed.done.json()["rows"][0]["run_id"]


def test_a_sweep_that_ctrl_c_ended_leaves_nothing_running_and_goes_on(
    new_project: NewProject,
) -> None:
    root = with_a_sweep(new_project("sweep-stopped"))
    command, log = (*COMMAND, "--trials=2"), root.parent / "output"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", *command],
            cwd=root,
            env=environment(root, ENGINE),
            stdout=subprocess.DEVNULL,
            stderr=stream,
            text=True,
        )
        await_line(log, "trial 0: epoch 5/", process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    _, left = psutil.wait_procs(family, timeout=15)
    assert [" ".join(one.cmdline()) for one in left] == []
    before = runs(root)
    assert {run.info.status for run in before.values()} == {"KILLED"}
    done = convoy(root, *command, more=ENGINE)
    assert done.code == 0, done.err
    after = runs(root)
    assert {n: after[n].info.run_id for n in before} == {
        n: run.info.run_id for n, run in before.items()
    }
    assert rows(done)[0]["run_id"] == before[0].info.run_id
    with closing(sqlite3.connect(root / ".convoy/mlflow.db")) as database:
        logged = database.execute("select run_uuid, key, step from metrics").fetchall()
        assert set(Counter(logged).values()) == {1}
