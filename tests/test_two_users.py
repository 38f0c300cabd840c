"""SQLite shared by two accounts of one machine, and a registry of another MLflow on PostgreSQL."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient
from sqlalchemy.pool import NullPool

from convoy import promotion, registry
from convoy.project import Project
from tests.servers import postgresql
from tests.stores import add_versions, new_store
from tests.terminal import convoy

pytestmark = pytest.mark.slow

ONE, OTHER = 65531, 65532
"""Accounts without a name, as containers have them."""
ROUNDS = 5

# Promotes versions by turns, each against whatever serves; says what came of it. Python and its
# libraries may lie where another account cannot read: they are loaded by a promotion elsewhere.
PROMOTER = """
import json, os, sys
from pathlib import Path
from convoy import promotion, store
from convoy.errors import ConvoyError
from convoy.project import Project

def promote(root, rounds, versions):
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root}/.convoy/mlflow.db"
    try:
        client = store.connect(Project(Path(root)))
        for version in [*versions] * rounds:
            try:
                promotion.promote(client, "digits", version, f"by {os.getuid()}")
            except ConvoyError as error:
                yield str(error)
            else:
                yield "done"
    except ConvoyError as error:
        yield str(error)

shared, loading, user, rounds, *versions = sys.argv[1:]
assert [*promote(loading, 1, ["1", "1"])][0] == "done"
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
os.umask(0)
for said in promote(shared, int(rounds), versions):
    print(json.dumps(said), flush=True)
"""


def begin(
    user: int, root: Path, loading: Path, rounds: int, versions: Sequence[str]
) -> "subprocess.Popen[str]":
    source = Path(__file__).parents[1]
    told = (str(root), str(loading), str(user), str(rounds), *versions)
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTER, *told],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{source / 'src'}{os.pathsep}{source}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: "subprocess.Popen[str]") -> list[str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@dataclass(frozen=True)
class Shared:
    """A project whose state belongs to one account, and others of the same contents."""

    project: Project
    client: MlflowClient
    loading: tuple[Path, Path]


@pytest.fixture
def shared(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    if os.geteuid() != 0:
        pytest.skip("only root can act as two other accounts")
    with tempfile.TemporaryDirectory() as place:  # pytest's own are for nobody else to walk into
        root = Path(place) / "project"
        root.mkdir()
        project, client = new_store(root, tmp_path_factory, monkeypatch)
        add_versions(client, "digits", 2)
        loading = (tmp_path / "one", tmp_path / "other")
        for copy in loading:
            shutil.copytree(root, copy)
        (project.state / "mlflow.lock").unlink()
        for path in (Path(place), root, *root.rglob("*")):
            os.chown(path, ONE, ONE)
        for path in (Path(place), root, project.state):
            path.chmod(0o755)
        yield Shared(project, client, loading)


@pytest.mark.soak
def test_two_users_who_may_both_write_promote_at_once(
    shared: Shared,
) -> None:
    project, client = shared.project, shared.client
    for path in (project.root, project.state):
        path.chmod(0o777)
    project.database.chmod(0o666)
    users = zip((ONE, OTHER), shared.loading, strict=True)
    both = [begin(user, project.root, place, ROUNDS, ("1", "2")) for user, place in users]
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
    shared: Shared,
) -> None:
    project, client = shared.project, shared.client
    (line,) = told(begin(OTHER, project.root, shared.loading[1], 1, ("1",)))
    assert "cannot be written by this user: ask its owner" in line
    assert promotion.journal(client, "digits") == []


@pytest.mark.soak
def test_a_registry_of_an_older_mlflow_on_postgresql_is_left_as_it_is(project: Project) -> None:
    older = "bda7b8c39065"
    with postgresql() as uri:
        more = {"MLFLOW_TRACKING_URI": uri}
        made = convoy(project.root, "models", "--json", more=more)
        assert (made.code, made.json()) == (0, []), made.err
        engine = sqlalchemy.create_engine(uri, poolclass=NullPool)
        with engine.begin() as database:
            change = sqlalchemy.text("update alembic_version set version_num = :older")
            database.execute(change, {"older": older})
        done = convoy(project.root, "models", more=more)
        assert done.code == 1
        for words in ("out-of-date database schema", "Run `mlflow db upgrade`", "with a backup"):
            assert words in done.sentence
        with engine.begin() as database:
            found = database.execute(sqlalchemy.text("select version_num from alembic_version"))
            assert [row[0] for row in found] == [older]
