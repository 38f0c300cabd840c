"""A team's servers for real: who gets in, what each role may do, and where no secret stands."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websockets

from tests.team_matrix import prepare, staff, wrong
from tests.team_servers import Team, command_lines, team

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team(tmp_path_factory.mktemp("team")) as found:
        yield found


@pytest.fixture(scope="module")
def staffed(servers: Team) -> Team:
    staff(servers)
    return servers


def test_each_role_may_do_what_it_is_for_and_nobody_gets_in_without_a_password(
    staffed: Team,
) -> None:
    assert wrong(staffed, prepare(staffed)) == []


def test_a_stranger_sees_of_prefect_only_that_it_lives(servers: Team) -> None:
    paths: list[tuple[str, str, Any]] = [
        ("POST", "/api/flows/filter", {}),
        ("POST", "/api/flow_runs/filter", {}),
        ("POST", "/api/deployments/filter", {}),
        ("POST", "/api/work_pools/filter", {}),
        ("POST", "/api/logs/filter", {}),
        ("POST", "/api/variables/filter", {}),
        ("POST", "/api/block_documents/filter", {}),
        ("POST", "/api/v2/concurrency_limits/filter", {}),
        ("POST", "/api/events/filter", {}),
        ("POST", "/api/ui/flow_runs/history", {}),
        ("POST", "/api/ui/flows/count-deployments", {"flow_ids": []}),
        ("GET", "/api/admin/settings", None),
        ("GET", "/api/admin/version", None),
        ("GET", "/api/docs", None),
        ("GET", "/api/openapi.json", None),
    ]
    for method, path, body in paths:
        for login in (None, "convoy:wrong", "convoy:", servers.login()[:-1]):
            status, _ = servers.ask(method, f"{servers.prefect}{path}", login, body)
            assert status in (401, 404), (path, login, status)
    status, _ = servers.ask("POST", f"{servers.prefect}/api/flows/filter", servers.login(), {})
    assert status == 200
    assert servers.ask("GET", f"{servers.prefect}/api/health")[0] == 200


def test_no_events_are_sent_or_seen_without_the_password(servers: Team) -> None:
    address = servers.prefect.replace("http", "ws")

    async def rejected(path: str, token: str | None) -> bool:
        try:
            async with websockets.connect(
                f"{address}{path}", subprotocols=[websockets.Subprotocol("prefect")]
            ) as socket:
                if token is not None:
                    await socket.send(json.dumps({"type": "auth", "token": token}))
                else:
                    await socket.send(json.dumps({"filter": {}}))
                answer = json.loads(await asyncio.wait_for(socket.recv(), 20))
                return bool(answer.get("type") != "auth_success")
        except websockets.ConnectionClosed:
            return True

    for path in ("/api/events/out", "/api/logs/out"):
        assert asyncio.run(rejected(path, None)), path
        assert asyncio.run(rejected(path, "wrong")), path
        assert not asyncio.run(rejected(path, servers.login())), path


def test_no_command_line_of_a_server_has_a_secret(staffed: Team) -> None:
    lines = command_lines()
    assert "prefect server start" in lines and "basic-auth" in lines
    found = [name for name, secret in staffed.secrets.items() if secret in lines]
    assert not found
    for log in staffed.folder.glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [name for name, secret in staffed.secrets.items() if secret in text], log
