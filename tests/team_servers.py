"""A team's servers as `deploy/` starts them, on loopback: PostgreSQL, S3, Prefect and MLflow."""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests import s3
from tests.servers import free_port, postgresql, stop

REPOSITORY = Path(__file__).parents[1]
STARTUP = 600.0
BUCKET = "convoy"


def _secret() -> str:
    """A canary: wherever it is found, a secret was written."""
    return f"canary{secrets.token_hex(12)}"


@dataclass
class Team:
    """The servers, where they are, and every secret that there is."""

    folder: Path
    prefect: str = ""
    mlflow: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    """Of each name, its secret."""
    servers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    commands: dict[str, tuple[list[str], dict[str, str]]] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        return self.secrets.setdefault(name, _secret())

    def login(self) -> str:
        return f"convoy:{self.secret('prefect')}"

    def client(self, user: str) -> dict[str, str]:
        """Return the variables of a machine or a person: what `deploy/secrets.example` lists."""
        return {
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_API_AUTH_STRING": self.login(),
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": self.secret(user),
        }

    def ask(
        self,
        method: str,
        address: str,
        login: str | None = None,
        body: Any = None,
        raw: bytes | None = None,
    ) -> tuple[int, Any]:
        """Return status and content of an answer; `login` is "user:password"."""
        headers = {"Content-Type": "application/json"}
        if login is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(address, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=60) as answer:
                return answer.status, _content(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error.read())

    def start(self, *names: str) -> None:
        """Start servers and wait until all answer."""
        for name in names:
            self._begin(name)
        for name in names:
            self._wait_for(name)

    def _begin(self, name: str) -> None:
        command, environ = self.commands[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.servers[name] = subprocess.Popen(
                command, cwd=REPOSITORY, env=environ, stdout=log, stderr=log
            )

    def _wait_for(self, name: str) -> None:
        health = f"{self.prefect}/api/health" if name == "prefect" else f"{self.mlflow}/health"
        deadline = time.monotonic() + STARTUP
        while True:
            with suppress(OSError):
                if self.ask("GET", health)[0] == 200:
                    return
            server = self.servers[name]
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / f"{name}.log").read_text()[-4000:])
            time.sleep(0.3)

    def end(self, name: str) -> None:
        stop(self.servers.pop(name))

    def end_all(self) -> None:
        for name in list(self.servers):
            self.end(name)


def unit(name: str) -> tuple[str, dict[str, str]]:
    """Return the command of a systemd unit, and the variables of it and of its public files."""
    text = (REPOSITORY / "deploy" / "systemd" / f"convoy-{name}.service").read_text()
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    environ: dict[str, str] = {}
    for key, value in lines:
        if key == "EnvironmentFile" and value.startswith("/opt/convoy/"):
            environ |= read_env(REPOSITORY / value.removeprefix("/opt/convoy/"))
        elif key == "Environment":
            environ |= dict(pair.split("=", 1) for pair in value.split())
    return next(value for key, value in lines if key == "ExecStart"), environ


def read_env(file: Path) -> dict[str, str]:
    """Return the variables of a file as systemd reads them."""
    lines = file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@contextmanager
def team(folder: Path) -> Iterator[Team]:
    """Run all servers until the end of the block, each by its unit's command."""
    with ExitStack() as stack:
        found = Team(folder)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        client = stack.enter_context(s3.serving(patch))
        client.create_bucket(Bucket=BUCKET)
        database = stack.enter_context(postgresql(found.secret("postgres")))
        port = _databases(database, found)
        found.prefect = f"http://127.0.0.1:{free_port()}"
        found.mlflow = f"http://127.0.0.1:{free_port()}"
        _prepare(found, "prefect", found.prefect, port, _prefect_secrets(found))
        _prepare(found, "mlflow", found.mlflow, port, _mlflow_secrets(found))
        stack.callback(found.end_all)
        found.start("prefect", "mlflow")
        yield found


@contextmanager
def mlflow_alone(folder: Path) -> Iterator[Team]:
    """Run MLflow's server as `deploy/` does, but on SQLite and local files."""
    found = Team(folder, mlflow=f"http://127.0.0.1:{free_port()}")
    config = (REPOSITORY / "mlflow" / "basic_auth.ini").read_text()
    database = "postgresql+psycopg:///mlflow"
    assert database in config
    (folder / "auth.ini").write_text(config.replace(database, f"sqlite:///{folder}/auth.db"))
    here = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": found.secret("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": found.secret("flask"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
        "MLFLOW_WORKERS": "1",
    }
    _prepare(found, "mlflow", found.mlflow, "0", here)
    found.start("mlflow")
    try:
        yield found
    finally:
        found.end("mlflow")


def _databases(address: str, found: Team) -> str:
    """Create what `deploy/databases.sql` creates, and give both users a password."""
    plain = address.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        for line in (REPOSITORY / "deploy" / "databases.sql").read_text().splitlines():
            if line and not line.startswith("--"):
                connection.execute(line.encode())
        for user in ("prefect", "mlflow"):
            word = found.secret(f"database of {user}")
            connection.execute(f"ALTER ROLE {user} PASSWORD '{word}'".encode())
    return plain.rsplit(":", 1)[1].partition("/")[0]


def _prefect_secrets(found: Team) -> dict[str, str]:
    return {
        "PREFECT_SERVER_API_AUTH_STRING": found.login(),
        "PREFECT_API_AUTH_STRING": found.login(),
        "PREFECT_HOME": str(found.folder / "prefect"),
        "PREFECT_UI_API_URL": f"{found.prefect}/api",
    }


def _mlflow_secrets(found: Team) -> dict[str, str]:
    return {
        "MLFLOW_AUTH_ADMIN_PASSWORD": found.secret("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": found.secret("flask"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
        "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": found.secret("s3"),
        "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_WORKERS": "1",
    }


def _prepare(found: Team, name: str, address: str, port: str, own: Mapping[str, str]) -> None:
    command, public = unit(name)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "AWS"))}
    environ = {
        **kept,
        **public,
        "PGHOST": "127.0.0.1",
        "PGPORT": port,
        "PGUSER": name,
        "PGPASSWORD": found.secret(f"database of {name}"),
        f"CONVOY_{name.upper()}_PORT": address.rsplit(":", 1)[1],
        "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
        "NO_PROXY": "127.0.0.1",
        **own,
    }
    number = f"CONVOY_{name.upper()}_PORT"
    words = command.replace(f"${{{number}}}", environ[number]).split()
    words[0] = str(Path(sys.executable).parent / Path(words[0]).name)
    found.commands[name] = words, environ


def command_lines() -> str:
    """Return the command lines of all processes of this machine, as every user may read them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return "\n".join(found)


def _content(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data
