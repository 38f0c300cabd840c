"""MLflow away, slow, broken or losing answers: nothing doubled, nothing half done, one sentence.

Against real servers, on SQLite and on PostgreSQL.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from convoy import claims, promotion, registry, store, tracking
from convoy.client import Client
from convoy.errors import ConvoyError, UsageError
from convoy.journal import Entry, write
from convoy.project import Project
from tests.servers import Proxy, mlflow_server, postgresql, proxying

pytestmark = pytest.mark.slow

SOURCE = "s3://nowhere/model"
STAMPS = tracking.Stamps("c0ffee", False, "signs", "abc.dir", "digest", "flow")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an MLflow server."""
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "sqlite":
        with mlflow_server(folder, f"sqlite:///{folder / 'mlflow.db'}") as address:
            yield address
    else:
        with postgresql() as backend, mlflow_server(folder, backend) as address:
            yield address


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    with proxying(server) as proxy:
        yield proxy


@pytest.fixture
def name(server: str) -> str:
    """A model with two versions, the first of them champion."""
    name, client = f"signs-{uuid4().hex[:8]}", Client(server)
    for key in ("one", "two"):
        store.model_version(client, name, key, SOURCE, "", {})
    promotion.promote(client, name, "1", "the first")
    return name


def agree(client: MlflowClient, name: str) -> bool:
    """Tell whether alias and journal say the same."""
    champion = registry.by_alias(client, name, "champion")
    done = [entry for entry in promotion.journal(client, name) if entry.state == "done"]
    return champion is not None and champion.version == done[-1].version


def fences(client: MlflowClient) -> list[str]:
    return [m.name for m in client.search_registered_models() if claims.is_fence(m.name)]


@pytest.mark.soak
def test_lost_answers_make_no_second_experiment_run_version_or_promotion(
    proxy: Proxy, server: str, tmp_path: Path
) -> None:
    client, plain = Client(proxy.address), MlflowClient(server, server)
    name = f"lossy-{uuid4().hex[:8]}"
    proxy.lost = 3
    experiment = store.experiment(client, Project(tmp_path), name)
    parent = tracking.open_pipeline(client, experiment, "pipeline", STAMPS)
    arguments = (client, experiment, parent, "key", "mlp", {"epochs": 3}, 1, STAMPS)
    run = tracking.open_training(*arguments)
    assert tracking.open_training(*arguments) == run
    tracking.log_epoch(client, run, 1, {"val/loss": 0.5})
    version = store.model_version(client, name, "key", SOURCE, run, {"a": "b"})
    promotion.promote(client, name, str(version.version), "the first")
    found = plain.search_experiments(ViewType.ALL, filter_string=f"name = '{name}'")
    assert [e.experiment_id for e in found] == [experiment]
    runs = plain.search_runs([experiment], run_view_type=ViewType.ALL)
    assert {r.info.run_id for r in runs} == {parent, run} and len(runs) == 2
    assert len(plain.get_metric_history(run, "val/loss")) == 1
    versions = plain.search_model_versions(f"name = '{name}'")
    assert [(str(v.version), v.run_id, v.tags["a"]) for v in versions] == [("1", run, "b")]
    (entry,) = promotion.journal(plain, name)
    assert (entry.version, entry.state) == ("1", "done") and agree(plain, name)
    assert fences(plain) == []
    # What creates something is asked for once: its answer was lost, and it is read instead.
    creations = {e: n for e, n in proxy.asked.items() if e.endswith("/create")}
    assert sorted(creations.values()) == [1, 1, 2, 2], creations


@pytest.mark.soak
def test_mlflows_own_client_makes_two_runs_of_a_lost_answer(
    proxy: Proxy, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    plain = MlflowClient(server, server)
    experiment = plain.create_experiment(f"stock-{uuid4().hex[:8]}")
    proxy.lost = 1
    MlflowClient(proxy.address, proxy.address).create_run(experiment)
    assert len(plain.search_runs([experiment])) == 2


@pytest.mark.soak
def test_a_promotion_cut_off_at_any_request_is_settled_by_the_next_command(
    proxy: Proxy, server: str, name: str
) -> None:
    plain = Client(server)
    cut_off, before = 0, 0
    while True:
        proxy.asked.clear()
        proxy.fails_after = before
        target = "2" if champion(plain, name) == "1" else "1"
        try:
            promotion.promote(Client(proxy.address, patience=0.1), name, target, "better")
        except ConvoyError as error:
            assert f"the MLflow server {proxy.address} does not answer" in str(error)
            cut_off += 1
        else:
            break
        finally:
            proxy.fails_after = None
        owners_die(plain)
        promotion.settle(plain, name)
        assert agree(plain, name)
        assert {e.state for e in promotion.journal(plain, name)} <= {"done", "cancelled"}
        assert not any(e.action == "noticed" for e in promotion.journal(plain, name))
        before += 1
    assert cut_off >= 10
    assert agree(plain, name)
    promotion.rollback(plain, name)
    assert fences(plain) == []


def owners_die(client: MlflowClient) -> None:
    """Have the fences that are up be a process's that is gone."""
    for fence in fences(client):
        host, pid, _ = client.get_registered_model(fence).tags[claims.OWNER].rsplit(":", 2)
        client.set_registered_model_tag(fence, claims.OWNER, f"{host}:{pid}:1.00")


def champion(client: MlflowClient, name: str) -> str | None:
    found = registry.by_alias(client, name, "champion")
    return found.version if found else None


def test_a_promotion_of_a_living_process_is_waited_for_and_then_told_of(
    server: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(server)
    monkeypatch.setattr(claims, "WAIT", 1.0)
    with claims.claimed(client, name) as held:
        with pytest.raises(ConvoyError, match=f"another promotion of {name} is at work"):
            promotion.promote(Client(server), name, "2", "better")
        assert held()
    assert champion(client, name) == "1"
    assert promotion.promote(client, name, "2", "better").state == "done"


def test_whoever_was_taken_for_dead_leaves_the_alias_to_its_successor(
    server: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(server)
    write_as_before = write

    def overtaken(found: MlflowClient, model: str, entry: Entry) -> None:
        """After the intent, another process breaks the fence and promotes version 1 again."""
        monkeypatch.setattr(promotion, "write", write_as_before)
        write_as_before(found, model, entry)
        owners_die(client)
        later = Entry(entry.sequence + 1, "promote", "1", "1", "later", "x", entry.at, "done")
        write(client, model, later)
        (fence,) = (f for f in fences(client) if f.startswith(model))
        client.delete_registered_model(fence)

    monkeypatch.setattr(promotion, "write", overtaken)
    with pytest.raises(ConvoyError, match="version 1 became champion meanwhile"):
        promotion.promote(client, name, "2", "better")
    assert champion(client, name) == "1" and agree(client, name)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("error", "it answers with errors"), ("delay", "it took too long")],
)
def test_a_server_that_fails_or_is_slow_is_given_up_in_one_sentence_and_bounded_time(
    proxy: Proxy, server: str, name: str, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    setattr(proxy, fault, 500 if fault == "error" else 3.0)
    began = time.monotonic()
    with pytest.raises(ConvoyError, match=words) as caught:
        promotion.promote(Client(proxy.address, patience=2.0), name, "2", "better")
    assert time.monotonic() - began < 15
    assert "\n" not in str(caught.value)
    assert champion(Client(server), name) == "1"


def test_names_that_the_server_does_not_know_are_refused_with_the_nearest(
    server: str, name: str
) -> None:
    client = Client(server)
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        registry.version(client, name[:-1], "1")
    with pytest.raises(UsageError, match=f"{name} has no version or alias 'champoin'"):
        registry.version(client, name, "champoin")


def test_an_alias_that_is_gone_is_noticed_on_a_server_too(server: str, name: str) -> None:
    client = Client(server)
    client.delete_registered_model_alias(name, "champion")
    promotion.settle(client, name)
    assert promotion.journal(client, name)[-1].action == "noticed"
    assert promotion.rollback(client, name).version == "1"
    assert agree(client, name) and fences(client) == []


def test_no_server_at_all_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setattr(store, "ARRIVAL", 0.5)
    project = Project(tmp_path)
    project.create_state()
    with pytest.raises(ConvoyError, match=r"http://127.0.0.1:9 does not answer") as caught:
        store.connect(project)
    assert "secret" not in str(caught.value)
