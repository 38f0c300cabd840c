"""A sweep is killed at a random moment, started again, and again: nothing is lost or done twice.

Its seed draws, beside the recipe itself, learning rates of 10^-1.3, 10^-6.7, 10^-2.3 and 10^-6.8,
and for trial 5 a schedule that needs milestones.
"""

import random
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
import yaml
from mlflow.entities import Run

from tests.flows.conftest import NewProject
from tests.flows.test_crashes import client_of, digits_experiment
from tests.terminal import Done, convoy, environment, git

pytestmark = pytest.mark.soak

EPOCHS = 25
SWEEP = {
    "trials": 6,
    "parallel": 2,
    "prune": {"trials": 1, "epochs": 2},
    "space": {
        "learning_rate": {"low": 1e-7, "high": 0.1, "log": True},
        "schedule": {"choices": ["one_cycle", "step"]},
    },
}
CHANGES = ("--set", f"recipes.mlp.epochs={EPOCHS}", "--set", "run.seed=2")
COMMAND = ("sweep", "mlp", "--json", *CHANGES)
WHILE_IT_RUNS = 8.0
"""Seconds after the first trial's start within which it is killed."""


@dataclass(frozen=True)
class Swept:
    """A sweep that was killed, and the same command after it."""

    root: Path
    ended_before: dict[int, tuple[str, str]]
    """State and run of the trials that had ended, by number."""
    runs_before: dict[int, str]
    orphans: list[str]
    done: Done

    @property
    def rows(self) -> dict[int, dict[str, Any]]:
        return {row["number"]: row for row in self.done.json()["rows"]}


@pytest.fixture(scope="module")
def swept(new_project: NewProject) -> Swept:
    root = new_project("sweep")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["sweeps"] = {"mlp": SWEEP}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "--quiet", "--all", "--message", "A sweep")
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
        while "trial 0: started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        time.sleep(random.uniform(0, WHILE_IT_RUNS))
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    log.unlink()
    _, left = psutil.wait_procs(family, timeout=15)
    orphans = [" ".join(child.cmdline()) for child in left]
    for child in left:
        child.kill()
    runs = {int(run.data.tags["convoy.trial"]): str(run.info.run_id) for run in trial_runs(root)}
    return Swept(root, ended(root), runs, orphans, convoy(root, *COMMAND))


def ended(root: Path) -> dict[int, tuple[str, str]]:
    query = (
        "select number, state, value_json from trials left join trial_user_attributes as found "
        "on found.trial_id = trials.trial_id and found.key = 'run_id' "
        "where state not in ('RUNNING', 'WAITING')"
    )
    with closing(sqlite3.connect(root / ".convoy/sweeps.db")) as database:
        return {number: (state, run) for number, state, run in database.execute(query)}


def trial_runs(root: Path) -> list[Run]:
    client = client_of(root)
    return list(client.search_runs([digits_experiment(client)], "tags.`convoy.trial` != ''"))


def test_no_process_outlives_a_sweep_that_was_killed(swept: Swept) -> None:
    assert swept.orphans == []


def test_trials_that_had_ended_are_kept_and_the_others_go_on_in_their_runs(swept: Swept) -> None:
    assert swept.done.code == 0, swept.done.err
    assert sorted(swept.rows) == list(range(6))
    assert swept.ended_before.items() <= ended(swept.root).items()
    runs = {number: row["run_id"] for number, row in swept.rows.items()}
    assert swept.runs_before.items() <= runs.items()


def test_bad_learning_rates_are_pruned_and_recipes_that_cannot_be_fail(swept: Swept) -> None:
    states = {number: row["state"] for number, row in swept.rows.items()}
    assert {n: states[n] for n in (2, 4, 5)} == {2: "pruned", 4: "pruned", 5: "failed"}
    # Of two good ones at the same time the slower may be behind the other when that has ended.
    assert "complete" in (states[0], states[1])
    assert {states[n] for n in (0, 1, 3)} <= {"complete", "pruned"}
    for number in (2, 4):
        row = swept.rows[number]
        assert row["values"]["learning_rate"] < 1e-6
        assert 2 <= row["epochs"] < EPOCHS and row["val_accuracy"] < 0.5
    assert "'step' and its milestones" in swept.rows[5]["reason"]
    assert swept.rows[5]["run_id"] is None
    assert swept.rows[0]["values"] == {"learning_rate": 0.05, "schedule": "one_cycle"}


def test_the_program_of_a_pruned_trial_was_stopped(swept: Swept) -> None:
    client = client_of(swept.root)
    keys = [client.get_run(swept.rows[n]["run_id"]).data.tags["convoy.key"] for n in (2, 4)]
    results = [swept.root / ".convoy/runs" / key[:32] / "result.json" for key in keys]
    assert not all(result.exists() for result in results)


def test_trials_are_ordered_by_what_they_came_to(swept: Swept) -> None:
    rows = swept.done.json()["rows"]
    complete = [row["val_accuracy"] for row in rows if row["state"] == "complete"]
    assert complete == sorted(complete, reverse=True) and complete[0] > 0.9
    order = [("complete", "pruned", "failed").index(row["state"]) for row in rows]
    assert order == sorted(order)


def test_each_trial_is_one_run_nested_in_the_sweeps(swept: Swept) -> None:
    runs = {int(run.data.tags["convoy.trial"]): run for run in trial_runs(swept.root)}
    assert len(trial_runs(swept.root)) == len(runs) == 5
    outcome = swept.done.json()
    for number, run in runs.items():
        row = swept.rows[number]
        assert run.info.run_id == row["run_id"]
        assert run.data.tags["mlflow.parentRunId"] == outcome["run_id"]
        assert run.data.params["learning_rate"] == str(row["values"]["learning_rate"])
        pruned = row["state"] == "pruned"
        assert run.info.status == ("KILLED" if pruned else "FINISHED")
        assert run.data.tags["convoy.ended"] == ("pruned" if pruned else "epochs")
        assert not any(name.startswith("test/") for name in run.data.metrics)


def test_the_sweeps_run_has_the_best_and_nothing_is_left_running(swept: Swept) -> None:
    client, outcome = client_of(swept.root), swept.done.json()
    parent, best = client.get_run(outcome["run_id"]), outcome["rows"][0]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["convoy.best_run"] == best["run_id"]
    assert parent.data.tags["convoy.best.learning_rate"] == str(best["values"]["learning_rate"])
    assert parent.data.metrics["val/best_accuracy"] == best["val_accuracy"]
    assert parent.data.metrics["trials/failed"] == 1
    # Trials that came to the same cannot tell what made the difference.
    came_to = {row["val_accuracy"] for row in outcome["rows"] if row["state"] == "complete"}
    assert ("importance/learning_rate" in parent.data.metrics) == (len(came_to) > 1)
    everything = client.search_runs([digits_experiment(client)])
    assert {run.info.status for run in everything} == {"FINISHED", "KILLED"}


def test_every_run_of_a_sweep_says_what_it_is_on_which_data_what_came_and_how_again(
    swept: Swept,
) -> None:
    client, outcome = client_of(swept.root), swept.done.json()
    parent = client.get_run(outcome["run_id"])
    best = f"**trial {outcome['rows'][0]['number']}**, {outcome['rows'][0]['val_accuracy']:.2%}"
    told = {parent.info.run_id: (parent, best)}
    for row in swept.rows.values():
        if row["run_id"]:
            came = f"**{row['val_accuracy']:.2%}**"
            if row["state"] == "pruned":
                came = f"pruned after epoch {row['epochs']}"
            told[row["run_id"]] = (client.get_run(row["run_id"]), came)
    for run, came in told.values():
        note = run.data.tags["mlflow.note.content"]
        assert f"**mlp** on `digits` version `{outcome['dataset_version']}`" in note
        assert came in note
        assert f"git checkout {run.data.tags['convoy.commit']}" in note
        assert "--set run.seed=2 --set recipes.mlp.learning_rate=" in note


def test_no_epoch_is_logged_twice_or_missing(swept: Swept) -> None:
    with closing(sqlite3.connect(swept.root / ".convoy/mlflow.db")) as database:
        query = "select run_uuid, key, step from metrics"
        assert set(Counter(database.execute(query).fetchall()).values()) == {1}
        query = "select step from metrics where run_uuid = ? and key = 'val/loss'"
        for row in swept.rows.values():
            if row["state"] == "complete":
                steps = [step for (step,) in database.execute(query, (row["run_id"],))]
                assert sorted(steps) == list(range(1, EPOCHS + 1))


def test_the_same_sweep_again_does_nothing(swept: Swept) -> None:
    before = (swept.root / ".convoy/mlflow.db").read_bytes()
    again = convoy(swept.root, *COMMAND)
    assert again.code == 0, again.err
    assert again.json() == {**swept.done.json(), "unchanged": True}
    shown = convoy(swept.root, "sweep", "mlp", *CHANGES)
    assert "Nothing to do" in shown.out and shown.err == ""
    chosen = " ".join(f"--set {setting}" for setting in swept.done.json()["settings"])
    assert f"convoy run --dataset digits --architectures mlp {chosen}" in shown.out
    assert (swept.root / ".convoy/mlflow.db").read_bytes() == before


def test_the_pipeline_keeps_the_training_that_the_sweep_found(swept: Swept) -> None:
    settings = swept.done.json()["settings"]
    changes = [part for setting in settings for part in ("--set", setting)]
    done = convoy(swept.root, "run", "--json", "--architectures", "mlp", *changes)
    (row,) = done.json()["rows"]
    assert row["kept"] and row["run_id"] == swept.done.json()["rows"][0]["run_id"]
    assert row["test_accuracy"] > 0.9
