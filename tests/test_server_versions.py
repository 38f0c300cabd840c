"""What is said of servers that are away, of another version, or behind a password."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import pytest

from convoy import server_versions
from convoy.errors import ConvoyError, UsageError
from tests.s3 import free_port


@contextmanager
def answering(text: str, status: int = 200) -> Iterator[tuple[str, list[str | None]]]:
    """Run a server that says one thing; yield its address, and who asked."""
    logins: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("Authorization"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", logins
        web.shutdown()
        thread.join()


def newer(package: str, by: tuple[int, int]) -> str:
    major, minor = (int(part) for part in version(package).split(".")[:2])
    return f"{major + by[0]}.{minor + by[1]}.0"


def test_without_the_name_of_a_prefect_server_nothing_is_asked() -> None:
    with pytest.raises(UsageError, match="PREFECT_API_URL is not set"):
        server_versions.require({})


def test_a_server_of_the_same_or_a_newer_minor_version_fits() -> None:
    for found in (version("prefect"), newer("prefect", (0, 1))):
        with answering(f'"{found}"') as (address, logins):
            server_versions.require(
                {"PREFECT_API_URL": address, "PREFECT_API_AUTH_STRING": "convoy:word"}
            )
            assert logins == ["Basic Y29udm95OndvcmQ="]


@pytest.mark.parametrize("by", [(1, 0), (-1, 0), (0, -1)])
def test_an_older_server_or_one_of_another_major_version_is_refused_by_name(
    by: tuple[int, int],
) -> None:
    for package, whose, check in (
        ("prefect", "Prefect", server_versions.check_prefect),
        ("mlflow", "MLflow", server_versions.check_mlflow),
    ):
        found = newer(package, by)
        with answering(found) as (address, _), pytest.raises(ConvoyError) as raised:
            check(address, {})
        said = str(raised.value)
        assert f"{whose}'s server at {address} has version {found}" in said
        assert f"this checkout {version(package)}" in said and "constraints.txt" in said


def test_a_password_that_is_missing_or_wrong_is_told_with_its_variable() -> None:
    with answering("", 401) as (address, _):
        with pytest.raises(ConvoyError, match="PREFECT_API_AUTH_STRING is not set"):
            server_versions.check_prefect(address, {})
        names = {"MLFLOW_TRACKING_USERNAME": "mila", "MLFLOW_TRACKING_PASSWORD": "word"}
        with pytest.raises(ConvoyError, match="MLFLOW_TRACKING_PASSWORD is wrong"):
            server_versions.check_mlflow(address, names)


def test_what_is_away_or_something_else_is_told_with_its_address_and_without_its_password() -> None:
    port = free_port()
    with pytest.raises(ConvoyError, match="Connection refused") as raised:
        server_versions.check_mlflow(f"http://mila:word@127.0.0.1:{port}", {})
    assert f"//127.0.0.1:{port}" in str(raised.value) and "word" not in str(raised.value)
    with answering("<html>") as (address, _), pytest.raises(ConvoyError, match="no Prefect server"):
        server_versions.check_prefect(address, {})
    with answering("", 404) as (address, _), pytest.raises(ConvoyError, match="status 404"):
        server_versions.check_prefect(address, {})
