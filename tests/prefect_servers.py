"""A real Prefect server for tests, without its pages, and deployments that nothing serves."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from convoy.environment import LEASES
from convoy.prefect_api import PrefectApi
from convoy.prefect_server import wait_for

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
    "PREFECT_UI_ENABLED": "false",
    "DO_NOT_TRACK": "true",
}


@contextmanager
def serving(folder: Path) -> Iterator[PrefectApi]:
    """Run a server whose state is in `folder`; the environment names it meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api"
    app = ("--factory", "prefect.server.api.server:create_app", "--lifespan", "on")
    place = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "error")
    environ = {**os.environ, **QUIET, "PREFECT_HOME": str(folder), "PREFECT_API_URL": address}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *app, *place], env=environ, stdout=log, stderr=log
        )
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"PREFECT_API_URL": address, "NO_PROXY": "127.0.0.1"}.items():
                patch.setenv(name, value)
            wait_for(address, server)
            # Prefect reads the environment once, and another test may have imported it.
            with temporary_settings({PREFECT_API_URL: address}):
                yield PrefectApi(address)
    finally:
        server.terminate()
        server.wait()


def deployed(server: PrefectApi, flow: str, name: str, **more: Any) -> str:
    """Create a deployment that no runner serves; return its id."""
    flow_id = server.ask("POST", "/flows/", {"name": flow})["id"]
    body = {"name": name, "flow_id": flow_id, "entrypoint": f"{flow}.py:{flow}", **more}
    return str(server.ask("POST", "/deployments/", body)["id"])


def runs(server: PrefectApi, *tags: str) -> list[dict[str, Any]]:
    """Return the flow runs that have all these tags, the oldest first."""
    body = {"flow_runs": {"tags": {"all_": list(tags)}}} if tags else {}
    found = server.ask("POST", "/flow_runs/filter", body)
    return sorted(found, key=lambda run: str(run["created"]))
