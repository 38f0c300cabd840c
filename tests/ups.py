"""`convoy up` in a test's project: started, asked, cut off and ended."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient

from tests.terminal import convoy, environment

PATIENCE = 280.0
"""Seconds for a start, and for a flow run."""


@dataclass(frozen=True)
class Up:
    """A running `convoy up`; `prefect` and `mlflow` are its addresses."""

    root: Path
    prefect: str
    mlflow: str
    process: subprocess.Popen[str]

    @property
    def store(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.root / '.convoy' / 'mlflow.db'}")

    def ask(self, address: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def pid(self, name: str) -> int:
        """Return the process of one of its services."""
        for child in psutil.Process(self.process.pid).children():
            if name in " ".join(child.cmdline()):
                return int(child.pid)
        raise LookupError(name)

    def trigger(self, *overrides: str) -> str:
        """Have the pipeline of one network run; return its flow run."""
        told = ("--set", "architectures=[mlp]", "--set", f"overrides=[{', '.join(overrides)}]")
        done = convoy(self.root, "trigger", "nightly", "--json", *told)
        assert done.code == 0, done.err
        return str(done.json()["flow_run"])

    def end(self, run: str, again: bool = False) -> str:
        """Wait until a flow run has ended, `again` if it may crash first; return its last state."""
        states: list[str] = []
        last = ("COMPLETED", "FAILED", "CANCELLED") + (() if again else ("CRASHED",))

        def ended() -> bool:
            states.append(self.ask(f"{self.prefect}/api/flow_runs/{run}")["state"]["type"])
            return states[-1] in last

        wait(ended)
        return states[-1]

    def told(self, run: str, words: str) -> int:
        """Return how many lines of Prefect's log of a flow run have these words."""
        logs = {"logs": {"flow_run_id": {"any_": [run]}}}
        lines = self.ask(f"{self.prefect}/api/logs/filter", logs)
        return sum(words in line["message"] for line in lines)

    def cut_off(self) -> None:
        """End all its processes as a power cut does: none of them sees another end."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        for sign in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (self.process.pid, *(one.pid for one in family)):
                os.kill(pid, sign)
        self.process.wait()
        psutil.wait_procs(family)


def said(root: Path) -> str:
    """Return what `convoy up` has printed."""
    return (root / ".convoy" / "up.log").read_text()


@contextmanager
def running(root: Path, more: Mapping[str, str] | None = None) -> Iterator[Up]:
    """Start `convoy up`, yield it when it says that it is ready, and end it as Ctrl-C does."""
    with (root / ".convoy" / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", "up"],
            cwd=root,
            env=environment(root, more),
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        wait(lambda: "Ready after" in said(root))
        told = json.loads((root / ".convoy" / "up.json").read_text())
        mlflow = f"http://127.0.0.1:{told['CONVOY_MLFLOW_PORT']}"
        yield Up(root, told["prefect"].removesuffix("/api"), mlflow, process)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
            process.wait(timeout=120)


def wait(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass  # not yet
        assert time.monotonic() < deadline, "it did not come up"
        time.sleep(0.5)
