"""`convoy up` as a person uses it: both pages, the schedule, a trigger, and Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from convoy.training.checkpoints import resumable
from tests.flows.conftest import NewProject
from tests.terminal import convoy, environment

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Up:
    """A running `convoy up`."""

    root: Path
    prefect: str
    mlflow: str
    process: subprocess.Popen[str]

    def ask(self, address: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


def free_port() -> int:
    """A port that nobody listens at, now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def up(new_project: NewProject) -> Iterator[Up]:
    """Both servers and the runner on free ports; ended as Ctrl-C ends them."""
    root = new_project("up")
    prefect, mlflow = free_port(), free_port()
    ports = {"CONVOY_PREFECT_PORT": str(prefect), "CONVOY_MLFLOW_PORT": str(mlflow)}
    process = subprocess.Popen(
        [sys.executable, "-m", "convoy", "up"],
        cwd=root,
        env=environment(root, ports),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Up(root, f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}", process)
    try:
        deployments = f"{running.prefect}/api/deployments/filter"
        _wait(lambda: len(running.ask(deployments, {})) == 1, 150)
        _wait(lambda: urllib.request.urlopen(f"{running.mlflow}/health", timeout=2), 60)
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)


def _trigger(up: Up, *overrides: str) -> str:
    (deployment,) = up.ask(f"{up.prefect}/api/deployments/filter", {})
    parameters = {"architectures": ["mlp"], "overrides": overrides}
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    address = f"{up.prefect}/api/deployments/{deployment['id']}/create_flow_run"
    return str(up.ask(address, body)["id"])


def _end(up: Up, run: str) -> str:
    """Wait until a flow run has ended; return its last state."""
    states: list[str] = []

    def ended() -> bool:
        states.append(up.ask(f"{up.prefect}/api/flow_runs/{run}")["state"]["type"])
        return states[-1] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    _wait(ended, 150)
    return states[-1]


def _told(up: Up, run: str, words: str) -> bool:
    """Whether Prefect's log of a flow run has these words."""
    logs = {"logs": {"flow_run_id": {"any_": [run]}}}
    lines = up.ask(f"{up.prefect}/api/logs/filter", logs)
    return any(words in line["message"] for line in lines)


def _is_finished(folder: Path) -> bool:
    return (folder / "result.json").is_file()


def _wait(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass  # not yet
        assert time.monotonic() < deadline, "it did not come up"
        time.sleep(0.5)


def test_both_pages_answer_and_the_next_nights_are_scheduled(up: Up) -> None:
    for page in (up.prefect, up.mlflow):
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert b"<html" in answer.read().lower()
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    address = f"{up.prefect}/api/flow_runs/filter"
    _wait(lambda: up.ask(address, scheduled), 60)
    (deployment,) = up.ask(f"{up.prefect}/api/deployments/filter", {})
    assert deployment["schedules"][0]["schedule"]["cron"] == "0 2 * * *"


def test_a_trigger_runs_the_pipeline_and_both_servers_know_of_it(up: Up) -> None:
    run = _trigger(up)
    assert _end(up, run) == "COMPLETED"
    compared = convoy(up.root, "compare", "--json")
    assert compared.code == 0, compared.err
    (found,) = compared.json()["runs"]
    tags = up.ask(f"{up.mlflow}/api/2.0/mlflow/runs/get?run_id={found['run_id']}")
    stamps = {tag["key"]: tag["value"] for tag in tags["run"]["data"]["tags"]}
    assert stamps["convoy.flow_run"] == run
    _wait(lambda: _told(up, run, "train mlp: epoch 4/4"), 30)


def test_cancelling_in_prefect_ends_the_training_which_the_next_run_goes_on_with(up: Up) -> None:
    run = _trigger(up, "recipes.mlp.epochs=400")
    _wait(lambda: _told(up, run, "train mlp: epoch 3/400"), 90)
    family = psutil.Process(up.process.pid).children(recursive=True)
    programs = [one for one in family if "convoy.programs.preloaded" in one.cmdline()]
    assert len(programs) == 2, "the preloaded parent and the training"
    body = {"state": {"type": "CANCELLING"}}
    up.ask(f"{up.prefect}/api/flow_runs/{run}/set_state", body)
    assert _end(up, run) == "CANCELLED"
    _, alive = psutil.wait_procs(programs, timeout=30)
    assert not alive
    (folder,) = (f for f in (up.root / ".convoy" / "runs").iterdir() if not _is_finished(f))
    assert resumable(folder / "checkpoints")
    client = MlflowClient(f"sqlite:///{up.root / '.convoy' / 'mlflow.db'}")
    found = client.search_runs(["1"], f"tags.`convoy.flow_run` = '{run}'")
    assert [one.info.status for one in found] == ["KILLED", "KILLED"]


def test_ctrl_c_ends_every_process_of_it(up: Up) -> None:
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= 4
    os.killpg(up.process.pid, signal.SIGINT)
    out, _ = up.process.communicate(timeout=60)
    assert up.process.returncode == 0, out[-2000:]
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive and len(gone) == len(children)
    assert not (up.root / ".convoy" / "up.json").exists()
