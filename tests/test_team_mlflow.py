"""MLflow's server with users, as `deploy/` starts it, on SQLite: roles, and promotions by each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from convoy import promotion, registry, server_versions, store
from convoy.client import Client, Forbidden
from convoy.errors import ConvoyError, UsageError
from convoy.project import Project
from convoy.team.administration import Administration
from tests.team_matrix import staff
from tests.team_servers import Team, mlflow_alone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with mlflow_alone(tmp_path_factory.mktemp("mlflow")) as found:
        staff(found)
        yield found


@pytest.fixture(scope="module")
def registered(staffed: Team) -> str:
    """A model that a member made, with two versions, the first promoted by a promoter."""
    with pytest.MonkeyPatch.context() as patch:
        member = client(staffed, "mila", patch)
        member.create_registered_model("digits")
        for _ in range(2):  # of files that nobody reads here
            member.create_model_version("digits", "s3://nowhere/model")
        promotion.promote(client(staffed, "petra", patch), "digits", "1", "checked")
    return "digits"


def client(found: Team, user: str, patch: pytest.MonkeyPatch) -> Client:
    for name, value in found.client(user).items():
        patch.setenv(name, value)
    patch.setenv("NO_PROXY", "127.0.0.1")
    return Client(found.mlflow)


def test_a_member_promotes_nothing_though_the_model_is_theirs(
    staffed: Team, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = client(staffed, "mila", monkeypatch)
    with pytest.raises(Forbidden, match=r"refuses this user .*ask for the right"):
        promotion.promote(member, registered, "2", "mine")
    assert promotion.keep_challenger(member, registered, "2") == ""
    champion = registry.by_alias(member, registered, "champion")
    assert champion is not None and champion.version == "1"
    there = [model.name for model in member.search_registered_models()]
    assert there == [registered], "a refused promotion leaves no fence that keeps others out"


def test_what_was_moved_by_hand_is_left_to_those_who_may_write_it_down(
    staffed: Team, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoter = client(staffed, "petra", monkeypatch)
    promoter.set_registered_model_alias(registered, "champion", "2")
    for user in ("vera", "mila"):
        reader = client(staffed, user, monkeypatch)
        promotion.settle(reader, registered)
        assert [entry.action for entry in promotion.journal(reader, registered)] == ["promote"]
    promotion.settle(client(staffed, "petra", monkeypatch), registered)
    entries = promotion.journal(promoter, registered)
    assert [(e.action, e.by) for e in entries] == [("promote", "petra"), ("noticed", "unknown")]


def test_only_an_administrator_grants_and_a_store_without_users_is_told(
    staffed: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(staffed, "petra", monkeypatch)
    with pytest.raises(Forbidden):
        Administration(staffed.mlflow).grant("vera", "promoter", lambda: "")
    with pytest.raises(UsageError, match="which has no users"):
        Administration("sqlite:///mlflow.db")
    client(staffed, "admin", monkeypatch)
    with pytest.raises(UsageError, match="'nora' is a new user"):
        Administration(staffed.mlflow).grant("nora", "member", lambda: "")


def test_a_user_has_one_role(staffed: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    client(staffed, "admin", monkeypatch)
    server = Administration(staffed.mlflow)
    for role in ("member", "viewer"):
        server.grant("otto", role, lambda: staffed.secret("otto"))
    reader = client(staffed, "otto", monkeypatch)
    with pytest.raises(Forbidden):
        reader.create_experiment("ottos")
    assert reader.search_experiments() is not None


def test_a_server_that_is_older_than_this_checkout_is_told_by_whatever_asks_it(
    staffed: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(staffed, "vera", monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", staffed.mlflow)
    project = Project(tmp_path)
    project.create_state()
    assert store.connect(project).tracking_uri == staffed.mlflow
    monkeypatch.setattr(server_versions, "version", lambda package: "99.1.0")
    with pytest.raises(ConvoyError, match=r"has version \S+ and this checkout 99\.1\.0: bring"):
        store.connect(project)
