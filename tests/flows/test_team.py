"""A team's servers for real: who gets in, what each role may do, and where no secret stands."""

import asyncio
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import websockets

from convoy.team.administration import Administration, Granted
from tests.team_servers import Team, command_lines, team
from tests.terminal import Done, convoy

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

USERS = {"vera": "viewer", "mila": "member", "petra": "promoter"}
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team(tmp_path_factory.mktemp("team")) as found:
        yield found


def run(root: Path, found: Team, user: str, *arguments: str, **more: str) -> Done:
    return convoy(root, *arguments, more={**found.client(user), "NO_PROXY": "127.0.0.1", **more})


@pytest.fixture(scope="module")
def staffed(servers: Team) -> Team:
    """With a viewer, a member and a promoter, as an administrator makes them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.client("admin").items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = Administration(servers.mlflow)
        made = [server.grant(u, role, partial(servers.secret, u)) for u, role in USERS.items()]
        again = server.grant("petra", "promoter", lambda: "")  # the same changes nothing
    assert [one.created for one in made] == [True] * 3
    assert again == Granted("petra", "promoter", False)
    return servers


@pytest.fixture(scope="module")
def matter(staffed: Team) -> dict[str, str]:
    """An experiment with a run, an artifact, and a model with a version that serves: an admin's."""
    login = f"admin:{staffed.secret('admin')}"

    def do(method: str, path: str, body: Any) -> Any:
        status, content = staffed.ask(method, f"{staffed.mlflow}{path}", login, body)
        assert status == 200, content
        return content

    experiment = do("POST", f"{API}/experiments/create", {"name": "matter"})["experiment_id"]
    created = {"experiment_id": experiment, "start_time": 1, "run_name": "one"}
    info = do("POST", f"{API}/runs/create", created)["run"]["info"]
    place = "/api/2.0/mlflow-artifacts/artifacts" + info["artifact_uri"].removeprefix(
        "mlflow-artifacts:"
    )
    status, _ = staffed.ask("PUT", f"{staffed.mlflow}{place}/note.txt", login, raw=b"here")
    assert status == 200
    do("POST", f"{API}/registered-models/create", {"name": "signs"})
    version = {"name": "signs", "source": info["artifact_uri"], "run_id": info["run_id"]}
    do("POST", f"{API}/model-versions/create", version)
    alias = {"name": "signs", "alias": "champion", "version": "1"}
    do("POST", f"{API}/registered-models/alias", alias)
    return {"experiment": experiment, "run": info["run_id"], "place": place}


def actions(matter: dict[str, str]) -> dict[str, tuple[str, str, Any, str]]:
    """Of each action: method, path, body, and the first role that may do it."""
    run, experiment, place = matter["run"], matter["experiment"], matter["place"]
    version = {"name": "signs", "version": "1"}
    source = {"name": "signs", "source": f"runs:/{run}/model", "run_id": run}
    tag = {"key": "convoy.verdict", "value": "{}"}
    return {
        "see a run": ("GET", f"{API}/runs/get?run_id={run}", None, "viewer"),
        "search runs": ("POST", f"{API}/runs/search", {"experiment_ids": [experiment]}, "viewer"),
        "see a model": ("GET", f"{API}/registered-models/get?name=signs", None, "viewer"),
        "read a file": ("GET", f"{place}/note.txt", None, "viewer"),
        "read a file in the UI": (
            "GET",
            f"/get-artifact?path=note.txt&run_id={run}",
            None,
            "viewer",
        ),
        "begin an experiment": ("POST", f"{API}/experiments/create", {"name": "USER"}, "member"),
        "begin a run": ("POST", f"{API}/runs/create", {"experiment_id": experiment}, "member"),
        "log": (
            "POST",
            f"{API}/runs/log-batch",
            {"run_id": run, "tags": [{"key": "a", "value": "b"}]},
            "member",
        ),
        "write a file": ("PUT", f"{place}/USER.txt", b"x", "member"),
        "begin a model": ("POST", f"{API}/registered-models/create", {"name": "USER"}, "member"),
        "register a version": ("POST", f"{API}/model-versions/create", source, "member"),
        "keep a verdict": ("POST", f"{API}/model-versions/set-tag", {**version, **tag}, "member"),
        "move an alias": (
            "POST",
            f"{API}/registered-models/alias",
            {**version, "alias": "champion"},
            "promoter",
        ),
        "move an alias in the UI": (
            "POST",
            "/ajax-api/2.0/mlflow/registered-models/alias",
            {**version, "alias": "challenger"},
            "promoter",
        ),
        "take an alias away": (
            "DELETE",
            f"{API}/registered-models/alias",
            {"name": "signs", "alias": "nobody"},
            "promoter",
        ),
        "write the journal": (
            "POST",
            f"{API}/registered-models/set-tag",
            {"name": "signs", "key": "convoy.journal.000001", "value": "{}"},
            "promoter",
        ),
        "alter a manifest": (
            "POST",
            f"{API}/model-versions/set-tag",
            {**version, "key": "convoy.manifest", "value": "{}"},
            "promoter",
        ),
        "rename a model": (
            "POST",
            f"{API}/registered-models/rename",
            {"name": "signs", "new_name": "signs"},
            "promoter",
        ),
        "delete a version": (
            "DELETE",
            f"{API}/model-versions/delete",
            {"name": "signs", "version": "99"},
            "promoter",
        ),
        "create a user": (
            "POST",
            f"{API}/users/create",
            {"username": "x-USER", "password": "a password that is long"},
            "admin",
        ),
        "make oneself a promoter": (
            "POST",
            "/api/3.0/mlflow/roles/assign",
            {"username": "USER", "role_id": 3},
            "admin",
        ),
        "run a scorer": (
            "POST",
            "/ajax-api/3.0/mlflow/scorer/invoke",
            {"experiment_id": experiment},
            "nobody",
        ),
        "have the server call others": (
            "POST",
            "/api/2.0/mlflow/webhooks",
            {"name": "x", "url": "https://example.org", "events": []},
            "nobody",
        ),
    }


RANKS = ("viewer", "member", "promoter", "admin", "nobody")


def test_each_role_may_do_what_it_is_for_and_nobody_gets_in_without_a_password(
    staffed: Team, matter: dict[str, str]
) -> None:
    wrong: list[str] = []
    asked = 0
    who = {"anonymous": None, "mistaken": "mila:not the password"}
    who |= {user: f"{user}:{staffed.secret(user)}" for user in (*USERS, "admin")}
    for user, login in who.items():
        for name, (method, path, body, first) in actions(matter).items():
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            raw = raw.replace(b"USER", user.encode()) if raw else None
            address = f"{staffed.mlflow}{path.replace('USER', user)}"
            status, content = staffed.ask(method, address, login, raw=raw)
            asked += 1
            if user in ("anonymous", "mistaken"):
                expected = status == 401
            else:
                rank = RANKS.index(USERS.get(user, "admin"))
                expected = (status not in (401, 403)) == (rank >= RANKS.index(first))
                # A request that is let in does what it says, or finds nothing there.
                expected = expected and status < 500
            if not expected:
                wrong.append(f"{user}: {name}: {status} {str(content)[:200]}")
    assert not wrong, "\n".join(wrong)
    assert asked == 6 * len(actions(matter))


def test_a_stranger_sees_of_prefect_only_that_it_lives(servers: Team) -> None:
    paths = [
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
    assert os.environ  # the servers' own variables are their user's alone to read
