"""Who may do what on MLflow's server: actions of each kind, and who tries them."""

import json
from functools import partial
from typing import Any

import pytest

from convoy.team.administration import Administration, Granted
from tests.team_servers import Team

USERS = {"vera": "viewer", "mila": "member", "petra": "promoter"}
RANKS = ("viewer", "member", "promoter", "admin", "nobody")
API = "/api/2.0/mlflow"


def staff(found: Team) -> None:
    """Make a viewer, a member and a promoter, as an administrator does; again changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.client("admin").items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = Administration(found.mlflow)
        made = [server.grant(u, role, partial(found.secret, u)) for u, role in USERS.items()]
        again = server.grant("petra", "promoter", lambda: "")
    assert [one.created for one in made] == [True] * 3
    assert again == Granted("petra", "promoter", False)


def prepare(found: Team) -> dict[str, str]:
    """Make an experiment with a run, a file, and a model with a version that serves."""
    login = f"admin:{found.secret('admin')}"

    def do(method: str, path: str, body: Any) -> Any:
        status, content = found.ask(method, f"{found.mlflow}{path}", login, body)
        assert status == 200, content
        return content

    experiment = do("POST", f"{API}/experiments/create", {"name": "matter"})["experiment_id"]
    created = {"experiment_id": experiment, "start_time": 1, "run_name": "one"}
    info = do("POST", f"{API}/runs/create", created)["run"]["info"]
    place = "/api/2.0/mlflow-artifacts/artifacts" + info["artifact_uri"].removeprefix(
        "mlflow-artifacts:"
    )
    status, _ = found.ask("PUT", f"{found.mlflow}{place}/note.txt", login, raw=b"here")
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


def wrong(found: Team, matter: dict[str, str]) -> list[str]:
    """Let everybody try everything; return what was allowed or refused in error."""
    who = {"anonymous": None, "mistaken": "mila:not the password"}
    who |= {user: f"{user}:{found.secret(user)}" for user in (*USERS, "admin")}
    told: list[str] = []
    for user, login in who.items():
        for name, (method, path, body, first) in actions(matter).items():
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            raw = raw.replace(b"USER", user.encode()) if raw else None
            address = f"{found.mlflow}{path.replace('USER', user)}"
            status, content = found.ask(method, address, login, raw=raw)
            if login is None or user == "mistaken":
                expected = status == 401
            else:
                may = RANKS.index(USERS.get(user, "admin")) >= RANKS.index(first)
                # A request that is let in does what it says, or finds nothing there.
                expected = (status not in (401, 403)) == may and status < 500
            if not expected:
                told.append(f"{user}: {name}: {status} {str(content)[:200]}")
    return told
