"""The processes of `convoy up`: Prefect's server, MLflow's server, the runner and the watcher.

The servers are started as their own command lines start them, but in one process each: `mlflow
server` and `prefect server start` import everything once more for a second one.
"""

import os
import socket
import sqlite3
import sys
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from convoy.errors import ConvoyError, UsageError
from convoy.files import read_json
from convoy.project import Project
from convoy.supervisor import Service

PREFECT_PORT, MLFLOW_PORT = "CONVOY_PREFECT_PORT", "CONVOY_MLFLOW_PORT"
TRIGGER_PORT = "CONVOY_TRIGGER_PORT"
NEXT = 100
"""How many ports after one that is in use are tried."""
STALE = 60.0
"""Seconds after which the runner's sign of life is too old."""


@dataclass(frozen=True)
class Ports:
    """Where the servers of this machine listen; None for one that is elsewhere."""

    prefect: int | None
    mlflow: int | None
    calls: int | None = None
    """Of the signed calls that start a deployment, where params.yaml has such a trigger."""
    notes: tuple[str, ...] = ()
    """What there is to say of them, in sentences."""


def choose_ports(calls: bool) -> Ports:
    """Return free ports, those that the environment names or the next ones; set it to them.

    Raises `UsageError` for what is no port number.
    """
    notes: list[str] = []
    taken: set[int] = set()
    prefect = None if "PREFECT_API_URL" in os.environ else _port(PREFECT_PORT, taken, notes)
    elsewhere = urlsplit(os.environ["MLFLOW_TRACKING_URI"]).scheme in ("http", "https")
    mlflow = None if elsewhere else _port(MLFLOW_PORT, taken, notes)
    port = _port(TRIGGER_PORT, taken, notes) if calls else None
    return Ports(prefect, mlflow, port, tuple(notes))


def _port(name: str, taken: set[int], notes: list[str]) -> int:
    told = os.environ[name]
    if not told.isdecimal() or not 0 < int(told) < 2**16:
        raise UsageError(f"{name} is {told!r}: it is a port number, 1 to 65535.")
    wanted = int(told)
    for port in range(wanted, min(wanted + NEXT, 2**16)):
        if port not in taken and _is_free(port):
            if port != wanted:
                notes.append(f"port {wanted} is in use; {name} is {port} meanwhile.")
            taken.add(port)
            os.environ[name] = str(port)
            return port
    raise ConvoyError(
        f"ports {wanted} to {wanted + NEXT - 1} are all in use: choose another with {name}=PORT."
    )


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def prefect_server(port: int) -> Service:
    """Return Prefect's server with its pages."""
    place = ("--host", "127.0.0.1", "--port", str(port))
    app = ("--factory", "prefect.server.api.server:create_app", "--lifespan", "on")
    environ = {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    address = f"http://127.0.0.1:{port}/api/health"
    return Service("prefect", _uvicorn(*app, *place), environ, lambda: _answers(address))


def has_database(project: Project) -> bool:
    """Tell whether this project's own database of MLflow is there, and whole."""
    if os.environ["MLFLOW_TRACKING_URI"] != f"sqlite:///{project.database}":
        return False
    try:
        with closing(sqlite3.connect(f"{project.database.as_uri()}?mode=ro", uri=True)) as database:
            # What MLflow writes once its tables are made.
            found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return False
    return found is not None


def mlflow_server(project: Project, port: int) -> Service:
    """Return MLflow's server with its pages, as `mlflow server` would start it."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    environ = {
        **_server_settings(project.root / "mlflow" / "server.env"),
        # What its command line hands to its workers; a test holds the names to MLflow's own.
        "_MLFLOW_SERVER_FILE_STORE": uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(project.state / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    place = ("--host", "127.0.0.1", "--port", str(port))
    command = _uvicorn("mlflow.server.fastapi_app:app", *place)
    address = f"http://127.0.0.1:{port}/health"
    return Service("mlflow", command, environ, lambda: _answers(address))


def runner(project: Project, prefect: str) -> Service:
    """Return what runs the deployments of prefect.yaml when they are due."""
    sign = project.state / "runner.alive"
    sign.unlink(missing_ok=True)
    environ = {
        "PREFECT_API_URL": prefect,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "convoy",
        "PYTHONUNBUFFERED": "1",
    }
    command = (sys.executable, "-m", "flows.serve")
    return Service("runner", command, environ, lambda: _is_fresh(sign))


def watcher(project: Project, prefect: str) -> Service:
    """Return what looks for changes that start a deployment (`triggers` of params.yaml)."""
    sign = project.state / "watcher.alive"
    sign.unlink(missing_ok=True)
    command = (sys.executable, "-m", "convoy.triggers")
    environ = {"PREFECT_API_URL": prefect, "PYTHONUNBUFFERED": "1"}
    return Service("watcher", command, environ, lambda: _is_fresh(sign))


def _uvicorn(*options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "uvicorn", "--log-level", "warning", *options)


def _server_settings(file: Path) -> dict[str, str]:
    """Return the lines NAME=VALUE of a file."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _answers(address: str) -> bool:
    # Past any proxy: it is this machine that is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2):
            return True
    except (OSError, ValueError):
        return False


def _is_fresh(sign: Path) -> bool:
    """Tell whether a process has given a sign of life of late: seconds since 1970 in a file."""
    at = read_json(sign)
    return isinstance(at, int | float) and time.time() - at < STALE
