"""How long `convoy up` takes to start, and what the pipeline costs when a runner starts it.

    python -m benchmarks.orchestration [RESULT]

In a fresh clone with its own state: the first start creates both databases, the second finds them.
The peers are in the same run: Prefect's and MLflow's own commands, started at the same moment and
asked by HTTP until both answer. Then the pipeline of one network, embedded (`convoy run`) and
served (`convoy trigger`), over the seconds inside its fit. Last, a run that Prefect is told to
cancel, until the processes of its training are gone.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.rows import Row, keep

ROOT = Path(__file__).parents[1]
CONVOY = (sys.executable, "-m", "convoy")
PATIENCE = 600.0
EPOCHS = "recipes.mlp.epochs"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
        environ = _environ(root)
        with _up(root, environ) as first:
            pass
        with _up(root, environ) as second:
            embedded_before = _run(root, environ, 3)
            served = _served(root, environ, second, 4)
            cancelled = _cancelled(root, environ, second)
        embedded = _run(root, environ, 5)
        peers = _peers(Path(folder) / "peers", environ)
    rows = [
        Row("convoy up, the first time, s", first["seconds"], 30),
        Row("convoy up, the second time, s", second["seconds"], 15),
        Row("prefect and mlflow alone, the second time, s", peers),
        Row("pipeline of one network around its fit, embedded, s", embedded),
        Row("the same with the server of convoy up, s", embedded_before),
        Row("the same served by the runner, s", served),
        Row("a cancel until its training has ended, s", cancelled, 10),
    ]
    for row in rows:
        row.show()
    if sys.argv[1:]:
        keep(Path(sys.argv[1]), "python -m benchmarks.orchestration", rows)


def _environ(root: Path) -> dict[str, str]:
    ours = ("PREFECT_", "MLFLOW_", "CONVOY_", "DVC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ports = {name: str(_port()) for name in ("CONVOY_PREFECT_PORT", "CONVOY_MLFLOW_PORT")}
    return {**kept, **ports, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}


@contextmanager
def _up(root: Path, environ: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run `convoy up`; yield the seconds until it says that it is ready, and its addresses."""
    began = time.monotonic()
    up = subprocess.Popen([*CONVOY, "up"], cwd=root, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout
        for line in up.stdout:
            if line.startswith("Ready after"):
                break
        seconds = time.monotonic() - began
        yield {
            "seconds": seconds,
            "pid": up.pid,
            **json.loads((root / ".convoy" / "up.json").read_text()),
        }
    finally:
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=120)


def _run(root: Path, environ: dict[str, str], epochs: int) -> float:
    """Return the seconds of a run of the pipeline that are not inside its fit."""
    told = ("--architectures", "mlp", "--set", f"{EPOCHS}={epochs}", "--json")
    began = time.monotonic()
    done = subprocess.run(
        [*CONVOY, "run", *told], cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    return time.monotonic() - began - float(json.loads(done.stdout)["fit_seconds"])


def _served(root: Path, environ: dict[str, str], up: dict[str, Any], epochs: int) -> float:
    """Return the same of a run that the runner starts, from its trigger to its last state."""
    began = time.monotonic()
    address = f"{up['prefect']}/flow_runs/{_triggered(root, environ, epochs)}"
    _wait(lambda: json.loads(_get(address))["state"]["type"] == "COMPLETED")
    seconds = time.monotonic() - began
    receipt = json.loads((root / ".convoy" / "receipts" / "digits.json").read_text())
    return seconds - float(receipt["outcome"]["fit_seconds"])


def _cancelled(root: Path, environ: dict[str, str], up: dict[str, Any]) -> float:
    """Return the seconds from a cancel in Prefect to the end of the training's processes."""
    address = f"{up['prefect']}/flow_runs/{_triggered(root, environ, 2000)}"
    programs: list[psutil.Process] = []

    def trains() -> bool:
        family = psutil.Process(up["pid"]).children(recursive=True)
        programs[:] = [one for one in family if "convoy.programs.preloaded" in one.cmdline()]
        begun = (root / ".convoy/runs").glob("*/metrics.jsonl")
        return len(programs) == 2 and any(not (f.parent / "result.json").exists() for f in begun)

    _wait(trains)
    began = time.monotonic()
    _get(f"{address}/set_state", {"state": {"type": "CANCELLING"}})
    psutil.wait_procs(programs)
    seconds = time.monotonic() - began
    _wait(lambda: json.loads(_get(address))["state"]["type"] == "CANCELLED")
    return seconds


def _triggered(root: Path, environ: dict[str, str], epochs: int) -> str:
    """Have the runner begin a pipeline of one network; return its flow run."""
    told = ("--set", "architectures=[mlp]", "--set", f"overrides=['{EPOCHS}={epochs}']", "--json")
    done = subprocess.run(
        [*CONVOY, "trigger", "nightly", *told],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["flow_run"])


def _peers(folder: Path, environ: dict[str, str]) -> float:
    """Return how long both servers' own commands take, on databases that are there already."""
    folder.mkdir()
    seconds = 0.0
    for _ in range(2):
        ports = _port(), _port()
        place = ("--host", "127.0.0.1", "--port")
        mlflow = ("mlflow", "server", *place, str(ports[1]), "--workers", "1")
        commands = [("prefect", "server", "start", *place, str(ports[0])), mlflow]
        own = {
            **environ,
            "PREFECT_HOME": str(folder),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DO_NOT_TRACK": "true",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}",
        }
        began = time.monotonic()
        servers = [
            subprocess.Popen(
                command,
                cwd=folder,
                env=own,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in commands
        ]
        try:
            for port, path in zip(ports, ("api/health", "health"), strict=True):
                address = f"http://127.0.0.1:{port}/{path}"
                _wait(partial(_answers, address))
            seconds = time.monotonic() - began
        finally:
            for server in servers:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)
                server.wait()
    shutil.rmtree(folder)
    return seconds


def _answers(address: str) -> bool:
    return bool(_get(address))


def _get(address: str, body: dict[str, Any] | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with opener.open(request, timeout=5) as answer:
        content: bytes = answer.read()
        return content


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError, psutil.NoSuchProcess):  # not yet, or no more
            if condition():
                return
        time.sleep(0.1)
    raise SystemExit("it did not come up")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
