"""Prefect's server for one run of the embedded default.

Prefect can start one by itself, but only once its client is imported, and it leaves it running when
its owner is killed. This one starts while the libraries are still being imported, and ends with its
owner.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from convoy.errors import ConvoyError
from convoy.project import Project
from convoy.server_versions import check_prefect

OWN = "CONVOY_OWN_PREFECT"
"""The variable that is set where the server is one run's alone."""
LEFT_OUT = {
    "PREFECT_UI_ENABLED": "false",
    # It would import all of Prefect's collections, to see whether there are new kinds of blocks.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""What one run has no use for, and a server takes a while to start with."""
STARTUP = 180.0
"""Seconds that a server may take: its first start creates a database."""


def wait_for(address: str, server: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until the API at `address` answers. Raises `ConvoyError` where it does not."""
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline and (server is None or server.poll() is None):
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise ConvoyError(f"no Prefect server answers at {address}.")


def own_server(project: Project) -> "PrefectServer | None":
    """Start a server, unless PREFECT_API_URL names one: that has to be of a version that fits."""
    if named := os.environ.get("PREFECT_API_URL"):
        check_prefect(named)
        return None
    return PrefectServer(project.state / "prefect-server.log")


class PrefectServer:
    """A server on a free port of this machine, without its pages; PREFECT_API_URL names it."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/api"
        self._log = log
        command = [sys.executable, "-m", "convoy.programs.guarded", sys.executable, "-m", "uvicorn"]
        options = ["--factory", "prefect.server.api.server:create_app", "--lifespan", "on"]
        place = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        with log.open("wb") as stream:
            self._server = subprocess.Popen(
                [*command, *options, *place],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **LEFT_OUT},
                start_new_session=True,
            )
        # Before Prefect is imported, so that it runs after Prefect's own: those still send events.
        atexit.register(self._end)
        os.environ["PREFECT_API_URL"] = self.address
        os.environ[OWN] = "yes"

    def wait(self) -> None:
        """Wait until the server answers. Raises `ConvoyError` where it does not start."""
        try:
            wait_for(self.address, self._server)
        except ConvoyError:
            raise ConvoyError(
                f"Prefect's server did not start; {self._log} says why. If its database is "
                f"damaged, move {os.environ['PREFECT_HOME']} aside and run again; no model is in "
                f"it."
            ) from None

    def _end(self) -> None:
        self._server.terminate()
        self._server.wait()
