"""The ports that `convoy up` takes, and what it starts MLflow's server with."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow.server import constants

from convoy import environment, services
from convoy.errors import UsageError
from convoy.files import write_json
from convoy.owners import this_owner
from convoy.project import Project


@pytest.fixture(autouse=True)
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    project.create_state()
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.embedded(project).items():
        monkeypatch.setenv(name, value)
    return project


@contextmanager
def holding(beside: int = 1) -> Iterator[int]:
    """Somebody else at a port, the next ones free."""
    while True:
        with closing(socket.socket()) as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = int(holder.getsockname()[1])
            if port + beside < 2**16:
                yield port
                return


def test_a_port_in_use_is_said_and_the_next_free_one_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with holding() as port:
        monkeypatch.setenv("CONVOY_PREFECT_PORT", str(port))
        monkeypatch.setenv("CONVOY_MLFLOW_PORT", str(port))
        found = services.choose_ports(calls=False)
    assert found.prefect and found.mlflow and port < found.prefect < found.mlflow
    assert found.calls is None
    assert (
        f"port {port} is in use; CONVOY_PREFECT_PORT is {found.prefect} meanwhile." in found.notes
    )
    assert os.environ["CONVOY_MLFLOW_PORT"] == str(found.mlflow)


@pytest.mark.parametrize("told", ["0", "65536", "http", "-1", ""])
def test_what_is_no_port_is_refused(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_PREFECT_PORT", told)
    with pytest.raises(UsageError, match=r"CONVOY_PREFECT_PORT is .*: it is a port number"):
        services.choose_ports(calls=False)


def test_servers_that_are_elsewhere_need_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    monkeypatch.setenv("CONVOY_TRIGGER_PORT", "4399")
    found = services.choose_ports(calls=True)
    assert (found.prefect, found.mlflow) == (None, None)
    assert found.calls and found.calls >= 4399


def test_commands_beside_a_running_up_follow_its_ports(
    embedded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"owner": this_owner(), "prefect": "http://127.0.0.1:9/api", "CONVOY_MLFLOW_PORT": 5001}
    write_json(embedded.state / "up.json", said)
    told = {"CONVOY_MLFLOW_PORT": "5000"}
    environment.apply(embedded, told)
    assert told["CONVOY_MLFLOW_PORT"] == "5001"
    assert "PREFECT_API_URL" not in told, "it does not answer"
    write_json(embedded.state / "up.json", {**said, "owner": "nobody:1:0.0"[:6]})
    told = {"CONVOY_MLFLOW_PORT": "5000"}
    environment.apply(embedded, told)
    assert told["CONVOY_MLFLOW_PORT"] == "5000"


def test_mlflow_is_told_what_its_own_command_line_would_tell_it(
    embedded: Project, repository: Path
) -> None:
    (embedded.root / "mlflow").mkdir()
    settings = (repository / "mlflow" / "server.env").read_text()
    (embedded.root / "mlflow" / "server.env").write_text(settings)
    environ = services.mlflow_server(embedded, 5000).environ
    ours = {name for name in environ if name.startswith("_MLFLOW_SERVER_")}
    theirs = {
        constants.BACKEND_STORE_URI_ENV_VAR,
        constants.REGISTRY_STORE_URI_ENV_VAR,
        constants.ARTIFACT_ROOT_ENV_VAR,
        constants.ARTIFACTS_DESTINATION_ENV_VAR,
        constants.SERVE_ARTIFACTS_ENV_VAR,
    }
    assert ours == theirs
    assert environ["MLFLOW_SERVER_ALLOWED_HOSTS"] == "localhost:*,127.0.0.1:*"
    assert environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_a_sign_of_life_that_is_old_or_torn_is_none(embedded: Project) -> None:
    answers = services.runner(embedded, "http://127.0.0.1:9/api").answers
    sign = embedded.state / "runner.alive"
    assert not answers()
    write_json(sign, time.time())
    assert answers()
    write_json(sign, time.time() - 2 * services.STALE)
    assert not answers()
    sign.write_text("17")
    assert not answers()
    sign.write_text("")
    assert not answers()
