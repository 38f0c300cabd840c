"""Real MLflow servers on loopback, on SQLite or PostgreSQL, and a proxy that misbehaves."""

import os
import pwd
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

STARTUP = 280.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgresql(password: str = "") -> Iterator[str]:
    """Run a PostgreSQL of its own; yield the address that SQLAlchemy takes.

    With a password it lets nobody in without one. Skips the test where Debian's packages are not
    installed.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    bins, port = programs[-1].parent, free_port()
    with tempfile.TemporaryDirectory() as folder:
        as_user = _other_than_root(folder)

        def run(*command: str) -> None:
            done = subprocess.run(
                [*as_user, *command], cwd="/", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

        yield from _run_postgresql(run, bins, folder, port, password)


def _other_than_root(folder: str) -> list[str]:
    """Return what a command of PostgreSQL, which refuses root, is to be started with."""
    if os.geteuid() != 0:
        return []
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL refuses root, and there is no user `postgres`")
    os.chown(folder, account.pw_uid, account.pw_gid)
    ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}")
    return ["setpriv", *ids, "--clear-groups"]


def _run_postgresql(
    run: Callable[..., None], bins: Path, folder: str, port: int, password: str
) -> Iterator[str]:
    data, how = f"{folder}/data", ["--no-sync", "--encoding=UTF8", "--locale=C"]
    how.append("--auth=scram-sha-256" if password else "--auth=trust")
    if password:
        Path(folder, "password").write_text(password)
        Path(folder, "password").chmod(0o644)  # the folder is its user's alone
        how.append(f"--pwfile={folder}/password")
    run(str(bins / "initdb"), "--pgdata", data, "--username=convoy", *how)
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = (str(bins / "pg_ctl"), "--pgdata", data, "--wait", "--timeout=120")
    run(*control, "start", "--log", f"{folder}/log", "--options", options)
    try:
        secret = f":{password}" if password else ""
        yield f"postgresql+psycopg://convoy{secret}@127.0.0.1:{port}/postgres"
    finally:
        run(*control, "stop", "--mode=immediate")


@contextmanager
def mlflow_server(folder: Path, backend: str, port: int = 0) -> Iterator[str]:
    """Run MLflow's server on a store (`sqlite:///...` or PostgreSQL's); yield its address."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server, address = start_mlflow(folder, backend, port or free_port())
        stack.callback(stop, server)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("NO_PROXY", "no_proxy"):
                patch.setenv(name, "127.0.0.1")
            yield address


def start_mlflow(folder: Path, backend: str, port: int) -> "tuple[subprocess.Popen[bytes], str]":
    """Start MLflow's server and wait until it answers; whoever calls this ends it with `stop`."""
    address = f"http://127.0.0.1:{port}"
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    stores = ("--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts"))
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))},
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *place, *stores],
            cwd=folder,
            env=environ,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + STARTUP
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with suppress(OSError), opener.open(f"{address}/health", timeout=5):
            return server, address
        if server.poll() is not None or time.monotonic() > deadline:
            stop(server)
            raise AssertionError(f"MLflow's server does not start: {(folder / 'log').read_text()}")
        time.sleep(0.2)


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run Prefect's server without its pages, its database in `folder`; yield its API's address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))},
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--lifespan", "on", *place], cwd=folder, env=environ, stdout=log, stderr=log
        )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + STARTUP
    try:
        while True:
            with suppress(OSError), opener.open(f"{address}/health", timeout=5):
                break
            assert server.poll() is None and time.monotonic() < deadline, (
                folder / "log"
            ).read_text()
            time.sleep(0.2)
        yield address
    finally:
        stop(server)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End a server and the workers that it started."""
    family = [psutil.Process(server.pid)] if server.poll() is None else []
    family += [child for parent in family for child in parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait()
    psutil.wait_procs(family, timeout=15)


class Proxy:
    """Hands requests on to a server, and misbehaves as a test tells it to."""

    def __init__(self, server: str, address: str) -> None:
        self.server, self.address = urlsplit(server), address
        self.lost = 0
        """How many answers of each endpoint are dropped, once the server has done its work."""
        self.error = 0
        """A status that is answered in the server's place."""
        self.fails_after: int | None = None
        """How many requests are handed on before all others are answered with 503."""
        self.delay = 0.0
        """Seconds before each answer."""
        self.asked: Counter[str] = Counter()
        """Requests by endpoint."""


@contextmanager
def proxying(server: str) -> Iterator[Proxy]:
    """Run a proxy in front of a server until the end of the block."""
    web = _Web(("127.0.0.1", 0), _Handler)
    proxy = web.of = Proxy(server, f"http://127.0.0.1:{web.server_port}")
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    of: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        assert isinstance(self.server, _Web)
        proxy = self.server.of
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # An endpoint: the files of a run are many addresses of one.
        endpoint = f"{self.command} {'/'.join(urlsplit(self.path).path.split('/')[:6])}"
        proxy.asked[endpoint] += 1
        if proxy.delay:
            time.sleep(proxy.delay)
        over = proxy.fails_after is not None and proxy.asked.total() > proxy.fails_after
        if proxy.error or over:
            self._send(proxy.error or 503, b"", "text/plain")
            return
        lost = proxy.asked[endpoint] <= proxy.lost
        status, content, kind = self._forward(proxy, body)
        if lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(status, content, kind)

    def _forward(self, proxy: Proxy, body: bytes) -> tuple[int, bytes, str]:
        assert proxy.server.hostname
        connection = HTTPConnection(proxy.server.hostname, proxy.server.port, timeout=120)
        named = ("Content-Type", "Authorization", "Accept")
        headers = {name: self.headers[name] for name in named if name in self.headers}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, answer.headers.get("Content-Type", "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass
