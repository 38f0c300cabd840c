"""SQLite shared by two accounts of one machine, and a registry of another MLflow on PostgreSQL."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from convoy import promotion, registry, store
from convoy.errors import ConvoyError
from convoy.project import Project
from tests.servers import postgresql
from tests.stores import add_versions, new_store

pytestmark = pytest.mark.slow

ONE, OTHER = 65531, 65532
"""Accounts without a name, as containers have them."""
ROUNDS = 5

# Promotes two versions by turns, each against whatever serves; says what came of it.
PROMOTER = """
import json, os, sys
from pathlib import Path
os.umask(0)
from convoy import promotion, store
from convoy.errors import ConvoyError
from convoy.project import Project

try:
    client = store.connect(Project(Path(sys.argv[1])))
    for turn in range(int(sys.argv[2])):
        for version in sys.argv[3:]:
            try:
                promotion.promote(client, "digits", version, f"by {os.getuid()}")
            except ConvoyError as error:
                print(json.dumps(str(error)))
            else:
                print(json.dumps("done"))
except ConvoyError as error:
    print(json.dumps(str(error)))
"""


def begin(user: int, root: Path, rounds: int, versions: Sequence[str]) -> "subprocess.Popen[str]":
    source = Path(__file__).parents[1]
    environ = {
        **os.environ,
        "PYTHONPATH": f"{source / 'src'}{os.pathsep}{source}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(root),
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTER, str(root), str(rounds), *versions],
        user=user,
        group=user,
        extra_groups=[],
        cwd=root,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: "subprocess.Popen[str]") -> list[str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def shared(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, MlflowClient]:
    """A project whose state belongs to one account, and which others may walk into."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as two other accounts")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 2)
    (project.state / "mlflow.lock").unlink()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, ONE, ONE)
    return project, client


def test_two_users_who_may_both_write_promote_at_once(
    shared: tuple[Project, MlflowClient],
) -> None:
    project, client = shared
    for path in (project.root, project.state):
        path.chmod(0o777)
    project.database.chmod(0o666)
    both = [begin(user, project.root, ROUNDS, ("1", "2")) for user in (ONE, OTHER)]
    said = [line for process in both for line in told(process)]
    assert len(said) == 4 * ROUNDS and said.count("done") >= ROUNDS
    refused = [line for line in said if line != "done"]
    assert all("meanwhile" in line or "is the champion already" in line for line in refused), said
    entries = promotion.journal(client, "digits")
    assert [entry.sequence for entry in entries] == list(range(1, said.count("done") + 1))
    assert {entry.state for entry in entries} == {"done"}
    champion = registry.by_alias(client, "digits", "champion")
    assert champion is not None and champion.version == entries[-1].version


def test_a_user_who_may_not_write_is_told_whom_to_ask(
    shared: tuple[Project, MlflowClient],
) -> None:
    project, client = shared
    (line,) = told(begin(OTHER, project.root, 1, ("1",)))
    assert "cannot be written by this user: ask its owner" in line
    assert promotion.journal(client, "digits") == []


def test_a_registry_of_an_older_mlflow_on_postgresql_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = "bda7b8c39065"
    with postgresql() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        project = Project(tmp_path)
        project.create_state()
        client = store.connect(project)
        client.create_registered_model("digits")
        engine = sqlalchemy.create_engine(uri)
        with engine.begin() as database:
            change = sqlalchemy.text("update alembic_version set version_num = :older")
            database.execute(change, {"older": older})
        with pytest.raises(ConvoyError, match="out-of-date database schema") as caught:
            store.connect(project)
        said = str(caught.value)
        assert "Run `mlflow db upgrade`" in said and "\n" not in said and "Traceback" not in said
        with engine.begin() as database:
            found = database.execute(sqlalchemy.text("select version_num from alembic_version"))
            assert [row[0] for row in found] == [older]
            names = database.execute(sqlalchemy.text("select name from registered_models"))
            assert [row[0] for row in names] == ["digits"]
        engine.dispose()
