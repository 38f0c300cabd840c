"""Runs in a real MLflow store: found again, logged once, and never left to dead owners."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from convoy import store as mlflow_store
from convoy import tracking
from convoy.addresses import compare_address, mlflow_interface
from convoy.errors import ConvoyError
from convoy.owners import this_owner
from convoy.project import Project
from tests.stores import new_store

STAMPS = tracking.Stamps(
    "c0ffee", False, "digits", "0" * 32 + ".dir", "5eed" * 16, flow_run="a flow run"
)
RECIPE = {"epochs": 2, "learning_rate": 0.1}


@pytest.fixture
def store(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, MlflowClient, str]:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    return project, client, mlflow_store.experiment(client, project, "digits")


def open_training(client: MlflowClient, experiment: str, key: str = "k") -> str:
    return tracking.open_training(client, experiment, "parent", key, "mlp", RECIPE, 1, STAMPS)


def dead_owner() -> str:
    """The mark of a process that was here and has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = psutil.Process(child.pid).create_time()
    child.communicate()
    return f"{os.uname().nodename}:{child.pid}:{created:.2f}"


def status(client: MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


def test_an_experiment_is_created_once_with_its_artifacts_beside_the_database(
    store: tuple[Project, MlflowClient, str],
) -> None:
    project, client, experiment = store
    assert mlflow_store.experiment(client, project, "digits") == experiment
    found = client.get_experiment(experiment)
    assert found.artifact_location == (project.state / "artifacts" / "digits").as_uri()


def test_every_run_says_what_code_data_and_flow_made_it(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    parent = tracking.open_pipeline(client, experiment, "one", STAMPS)
    for run_id in (parent, open_training(client, experiment)):
        run = client.get_run(run_id)
        stamps = {key: run.data.tags[key] for key in STAMPS.tags()}
        assert stamps == {
            "convoy.commit": "c0ffee",
            "convoy.dirty": "false",
            "convoy.dataset_version": "0" * 32 + ".dir",
            "convoy.dataset_digest": "5eed" * 16,
            "convoy.flow_run": "a flow run",
            "mlflow.source.git.commit": "c0ffee",
            "mlflow.source.name": "convoy",
        }
        assert tracking.FLAGGED not in run.data.tags
        assert run.inputs is not None
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("digits", "0" * 32)


def test_a_run_on_a_version_that_could_not_be_had_again_says_why(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    run = tracking.open_pipeline(client, experiment, "one", STAMPS)
    tracking.flag(client, run, "it is not in the remote")
    assert client.get_run(run).data.tags["convoy.dataset_flagged"] == "it is not in the remote"


def test_a_training_is_found_again_by_its_key(store: tuple[Project, MlflowClient, str]) -> None:
    _, client, experiment = store
    assert tracking.find(client, experiment, "k") is None
    first = open_training(client, experiment)
    tracking.close(client, first, "KILLED")
    assert open_training(client, experiment) == first
    assert status(client, first) == "RUNNING"
    assert open_training(client, experiment, "another") != first


def test_a_run_that_was_cut_off_before_its_params_gets_them_when_it_goes_on(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    cut_off = client.create_run(experiment, tags={tracking.KEY: "k"}).info.run_id
    assert open_training(client, experiment) == cut_off
    open_training(client, experiment)
    run = client.get_run(cut_off)
    expected = {"architecture": "mlp", "seed": "1", "epochs": "2", "learning_rate": "0.1"}
    assert run.data.params == expected
    assert run.inputs is not None and len(run.inputs.dataset_inputs) == 1


def test_a_sweep_is_found_again_by_its_key_and_its_trials_have_names(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    sweep = tracking.open_sweep(client, experiment, "s", "sweep mlp", STAMPS)
    tracking.close(client, sweep, "KILLED")
    assert tracking.open_sweep(client, experiment, "s", "sweep mlp", STAMPS) == sweep
    assert status(client, sweep) == "RUNNING"
    assert tracking.open_sweep(client, experiment, "other", "sweep mlp", STAMPS) != sweep
    values = ("t", "mlp", RECIPE, 1, STAMPS, "mlp trial 3")
    trial = tracking.open_training(client, experiment, sweep, *values)
    run = client.get_run(trial)
    assert tracking.run_name(run) == "mlp trial 3"
    assert run.data.tags["mlflow.parentRunId"] == sweep


def test_settling_ends_the_runs_of_dead_owners_and_keeps_those_of_the_living(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    dead, living, foreign, nobodys = (
        open_training(client, experiment, key) for key in ("dead", "living", "foreign", "nobodys")
    )
    client.set_tag(dead, tracking.OWNER, dead_owner())
    client.set_tag(foreign, tracking.OWNER, "another-machine:1:0.00")
    client.delete_tag(nobodys, tracking.OWNER)
    assert tracking.settle(client, experiment) == [dead]
    assert status(client, dead) == "KILLED"
    assert {status(client, run) for run in (living, foreign, nobodys)} == {"RUNNING"}
    assert tracking.settle(client, experiment) == []


def test_a_process_id_that_was_given_away_again_is_no_owner(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    run = open_training(client, experiment)
    host, pid, created = this_owner().rsplit(":", 2)
    client.set_tag(run, tracking.OWNER, f"{host}:{pid}:{float(created) - 3600:.2f}")
    assert tracking.settle(client, experiment) == [run]


def test_epochs_are_counted_from_what_was_logged(store: tuple[Project, MlflowClient, str]) -> None:
    _, client, experiment = store
    run = open_training(client, experiment)
    assert tracking.epochs_logged(client, run) == 0
    for epoch in (1, 2):
        tracking.log_epoch(client, run, epoch, {"val/loss": 1 / epoch, "val/accuracy": 0.5})
    assert tracking.epochs_logged(client, run) == 2


def test_final_metrics_logged_again_after_a_crash_stay_single(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    run = open_training(client, experiment)
    for _ in range(2):
        tracking.log_metrics(client, run, {"test/accuracy": 0.9, "test/recall/a+b": 1.0})
    assert len(client.get_metric_history(run, "test/accuracy")) == 1
    assert client.get_run(run).data.metrics["test/recall/a_b"] == 1.0


def test_the_last_finished_pipeline_is_the_one_to_compare(
    store: tuple[Project, MlflowClient, str],
) -> None:
    _, client, experiment = store
    assert tracking.latest_pipeline(client, experiment) is None
    finished = tracking.open_pipeline(client, experiment, "one", STAMPS)
    client.set_tag(finished, tracking.TRAININGS, "a,b")
    tracking.close(client, finished)
    killed = tracking.open_pipeline(client, experiment, "two", STAMPS)
    client.set_tag(killed, tracking.TRAININGS, "a,c")
    tracking.close(client, killed, "KILLED")
    latest = tracking.latest_pipeline(client, experiment)
    assert latest is not None and latest.info.run_id == finished


def test_a_run_that_mlflow_does_not_know_is_named(store: tuple[Project, MlflowClient, str]) -> None:
    _, client, _ = store
    with pytest.raises(ConvoyError, match="MLflow knows no run 'deadbeef'"):
        tracking.get_runs(client, ["deadbeef"])


def test_the_compare_address_names_exactly_these_runs() -> None:
    address = compare_address("http://127.0.0.1:5000", "7", ["a", "b"])
    assert address == (
        "http://127.0.0.1:5000/#/compare-runs"
        "?runs=%5B%22a%22%2C%22b%22%5D&experiments=%5B%227%22%5D"
    )


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:////somewhere/mlflow.db", "http://127.0.0.1:5055"),
        ("https://mlflow.example.org/", "https://mlflow.example.org"),
    ],
)
def test_the_mlflow_ui_is_the_servers_own_or_that_of_convoy_up(
    uri: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("CONVOY_MLFLOW_PORT", "5055")
    assert mlflow_interface() == address


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("noise", "is damaged or not an MLflow database: move the file aside"),
        ("torn", "is damaged or not an MLflow database: move the file aside"),
        ("of another MLflow", "does not answer: Detected out-of-date database schema"),
    ],
)
def test_a_store_that_cannot_be_read_is_refused_in_one_sentence_and_left_alone(
    damage: str,
    words: str,
    store: tuple[Project, MlflowClient, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In another place, since MLflow keeps a connection to a file that it has opened before.
    project = Project(tmp_path / "other")
    project.root.mkdir()
    project.create_state()
    shutil.copy(store[0].database, project.database)
    if damage == "of another MLflow":
        with closing(sqlite3.connect(project.database)) as database, database:
            database.execute("update alembic_version set version_num = 'deadbeef'")
    else:
        content = project.database.read_bytes()
        head = content[:4096] if damage == "torn" else b""
        project.database.write_bytes(head + bytes(range(256)) * 20)
    before = project.database.read_bytes()
    uri = f"sqlite:///{project.database}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConvoyError) as caught:
        mlflow_store.connect(project)
    assert f"{uri} {words}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert project.database.read_bytes() == before


@pytest.mark.slow
def test_a_locked_store_is_refused_in_one_sentence(
    store: tuple[Project, MlflowClient, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another path to it, since MLflow keeps a connection to one that it has opened before.
    other = tmp_path / "other"
    other.symlink_to(store[0].state)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'mlflow.db'}")
    holder = sqlite3.connect(store[0].database, isolation_level=None)
    holder.execute("begin exclusive")
    try:
        with pytest.raises(ConvoyError, match="is in use by another program that locks it"):
            mlflow_store.connect(store[0])
    finally:
        holder.close()
