"""Overlapping runs under a real runner: left out or waiting as set, and none twice."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from convoy.prefect_api import PrefectApi
from tests.prefect_servers import serving
from tests.terminal import environment

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

FLOW = """
import time
from prefect import flow
from convoy.project import Project
from flows.served import served

@flow(name="work")
def work(dataset: str, overlap: str, seconds: float = 0.0):
    with served(Project.find(), dataset, overlap) as left_out:
        if left_out:
            return left_out
        time.sleep(seconds)

if __name__ == "__main__":
    work.serve(name="short", limit=8, print_starting_message=False, pause_on_shutdown=False)
"""
AUTOMATIC = "auto-scheduled"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[PrefectApi]:
    """A server, and a runner of a flow that does nothing but take its turn."""
    root = tmp_path_factory.mktemp("turns")
    for name in ("params.yaml", "prefect.yaml"):
        (root / name).write_text((repository / name).read_text())
    (root / ".git").mkdir()
    (root / "work.py").write_text(FLOW)
    with serving(tmp_path_factory.mktemp("prefect")) as found:
        told = {
            "PREFECT_API_URL": found.address,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_HOME": str(root / "home"),
            "NO_PROXY": "127.0.0.1",
            "DO_NOT_TRACK": "true",
        }
        environ = environment(repository, told)
        with (root / "runner.log").open("wb") as log:
            runner = subprocess.Popen(
                [sys.executable, "work.py"], cwd=root, env=environ, stdout=log, stderr=log
            )
        try:
            wait(lambda: found.ask("POST", "/deployments/filter", {}))
            yield found
        finally:
            runner.terminate()
            runner.wait(60)


def wait(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def begin(server: PrefectApi, *tags: str, **parameters: Any) -> str:
    (deployment,) = server.ask("POST", "/deployments/filter", {})
    told = {"dataset": "digits", "overlap": "queue", **parameters}
    return str(server.create_run(deployment["id"], told, None, list(tags))["id"])


def run(server: PrefectApi, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = server.ask("GET", f"/flow_runs/{identity}")
    return found


def name(server: PrefectApi, identity: str) -> str:
    return str(run(server, identity)["state"]["name"])


def completed(server: PrefectApi, identity: str) -> bool:
    return name(server, identity) == "Completed"


def works(server: PrefectApi, identity: str) -> Callable[[], bool]:
    """Whether a run has its turn: it says in its log when it has to wait."""
    return lambda: name(server, identity) == "Running"


def waits(server: PrefectApi, identity: str) -> Callable[[], bool]:
    logs = {"logs": {"flow_run_id": {"any_": [identity]}}}
    return lambda: any(
        "waits until" in line["message"] for line in server.ask("POST", "/logs/filter", logs)
    )


def test_a_run_that_is_due_waits_or_is_left_out_and_one_alone_waits(server: PrefectApi) -> None:
    first = begin(server, seconds=45.0)
    wait(works(server, first))
    time.sleep(3)  # it takes its turn right after it has said that it runs
    left_out = begin(server, AUTOMATIC, overlap="skip")
    other = begin(server, AUTOMATIC, overlap="skip", dataset="animals")
    queued = begin(server, AUTOMATIC)
    wait(waits(server, queued))
    second = begin(server, AUTOMATIC)
    asked_for = begin(server, overlap="skip")
    wait(lambda: name(server, left_out) == name(server, second) == "Skipped")
    reason = run(server, second)["state"]["message"]
    assert "an earlier run of this deployment waits already" in reason
    assert "was at work when this one was due" in run(server, left_out)["state"]["message"]
    for identity in (first, other, queued, asked_for):
        wait(partial(completed, server, identity))
    ended = [run(server, one)["end_time"] for one in (first, queued, other, asked_for)]
    assert ended[0] == min(ended), "all others waited for the first"
