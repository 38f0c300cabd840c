"""Devices under Prefect's limits: one holder at a time, over kills and a restart of the server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.servers import free_port, stop

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

HOLD = """
import sys, time
from flows.slots import device
with device("train lenet5"):
    print("held", time.time(), flush=True)
    time.sleep(float(sys.argv[1]))
    print("left", time.time(), flush=True)
"""


class Server:
    """A Prefect server as `deploy/prefect.env` sets it up, on SQLite."""

    def __init__(self, home: Path) -> None:
        self.port, self.home = free_port(), home
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self.environ(), stdout=log, stderr=log
            )
        deadline = time.monotonic() + 300
        while True:
            try:
                if httpx.get(f"{self.api}/health", timeout=2).is_success:
                    return
            except httpx.HTTPError:
                assert time.monotonic() < deadline, (self.home / "log").read_text()
                time.sleep(0.3)

    def environ(self, folder: str = "slots") -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "CONVOY_"))}
        storage = "prefect.server.concurrency.lease_storage.filesystem"
        return {
            **kept,
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": storage,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "CONVOY_SLOTS": "box:cpu",
            "CONVOY_SLOTS_DIR": str(self.home / folder),
            "NO_PROXY": "127.0.0.1",
        }

    def hold(self, seconds: float, folder: str = "slots") -> "subprocess.Popen[str]":
        """Start a process that holds the device; another folder is another machine's locks."""
        return subprocess.Popen(
            [sys.executable, "-c", HOLD, str(seconds)],
            env=self.environ(folder),
            stdout=subprocess.PIPE,
            text=True,
        )

    def taken(self) -> int:
        found = httpx.get(f"{self.api}/v2/concurrency_limits/box:cpu", timeout=10).json()
        assert found["limit"] == 1
        return int(found["active_slots"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("prefect"))
    try:
        yield found
    finally:
        stop(found.process)


def times(process: "subprocess.Popen[str]") -> list[float]:
    out, _ = process.communicate(timeout=300)
    return [float(line.split()[1]) for line in out.splitlines()]


def wait_until_held(process: "subprocess.Popen[str]") -> None:
    assert process.stdout
    assert process.stdout.readline().startswith("held")


def test_prefect_alone_keeps_holders_apart(server: Server) -> None:
    """Each with locks of its own, as in containers that share no volume."""
    holders = [server.hold(1.0, f"machine{number}") for number in range(3)]
    spans = sorted(times(holder) for holder in holders)
    assert [len(span) for span in spans] == [2] * 3
    for before, after in pairwise(spans):
        assert before[1] <= after[0] + 0.05
    assert server.taken() == 0


def test_the_slot_of_a_killed_holder_is_free_again_though_the_server_restarts(
    server: Server,
) -> None:
    holder = server.hold(600)
    wait_until_held(holder)
    assert server.taken() == 1
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    killed = time.time()
    stop(server.process)
    server.start()
    held, _ = times(server.hold(0))
    assert held - killed < 240, "a lease of a minute, and a busy machine"
    assert server.taken() == 0


def test_a_training_goes_on_while_the_server_is_away_and_still_nobody_else_has_its_device(
    server: Server,
) -> None:
    first = server.hold(150)
    wait_until_held(first)
    stop(server.process)
    time.sleep(100)  # longer than the lease: at its renewal nobody answers
    assert first.poll() is None
    server.start()
    held, _ = times(server.hold(0))
    out, _ = first.communicate(timeout=300)
    left = float(out.split()[-1])
    assert left <= held + 0.05
