"""What holds as well when there are more runs and versions than a store tells at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from convoy import lookup, open_runs, registry, tracking
from convoy.errors import UsageError
from convoy.project import Project
from convoy.store import experiment
from tests.stores import add_versions, new_store
from tests.test_tracking import dead_owner

PAGE = 2


@pytest.fixture
def store(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, MlflowClient]:
    """A real store that is asked for pages of two: as of a thousand, without a thousand runs."""
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)

    def short(search: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            return search(*arguments, **{"max_results": PAGE, **named})

        return ask

    for name in ("search_runs", "search_model_versions", "search_registered_models"):
        monkeypatch.setattr(client, name, short(getattr(client, name)))
    return project, client


def opened(store: tuple[Project, MlflowClient], count: int, **tags: str) -> list[str]:
    project, client = store
    there = experiment(client, project, "digits")
    return [client.create_run(there, tags=tags).info.run_id for _ in range(count)]


def test_all_runs_of_dead_owners_are_settled(store: tuple[Project, MlflowClient]) -> None:
    project, client = store
    there = opened(store, 2 * PAGE + 1, **{tracking.OWNER: dead_owner()})
    settled = tracking.settle(client, experiment(client, project, "digits"))
    assert sorted(settled) == sorted(there)
    assert {client.get_run(run_id).info.status for run_id in there} == {"KILLED"}


def test_all_children_of_a_run_are_found_and_ended(store: tuple[Project, MlflowClient]) -> None:
    project, client = store
    (parent,) = opened(store, 1)
    there = opened(store, 2 * PAGE + 1, **{"mlflow.parentRunId": parent})
    found = lookup.children(client, client.get_run(parent))
    assert sorted(run.info.run_id for run in found) == sorted(there)
    open_runs.end_children(client, experiment(client, project, "digits"), parent, "KILLED")
    assert {client.get_run(run_id).info.status for run_id in there} == {"KILLED"}
    assert client.get_run(parent).info.status == "RUNNING"


def test_all_versions_and_models_are_listed(store: tuple[Project, MlflowClient]) -> None:
    _, client = store
    add_versions(client, "digits", 2 * PAGE + 1)
    for number in range(2 * PAGE):
        client.create_registered_model(f"model{number}")
    found = registry.versions(client, "digits")
    assert [one.version for one in found] == [str(n) for n in range(2 * PAGE + 1, 0, -1)]
    assert len(registry.names(client)) == 2 * PAGE + 1


def test_one_version_is_had_without_reading_the_others(
    store: tuple[Project, MlflowClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = store
    add_versions(client, "digits", 3)
    client.set_registered_model_alias("digits", "champion", "2")
    client.set_registered_model_alias("digits", "previous", "2")
    asked: list[str] = []
    search = client.search_model_versions

    def noted(*arguments: Any, **named: Any) -> Any:
        asked.append("all")
        return search(*arguments, **named)

    monkeypatch.setattr(client, "search_model_versions", noted)
    for wanted in ("2", "champion"):
        one = registry.version(client, "digits", wanted)
        assert (one.version, one.aliases) == ("2", ("champion", "previous"))
    assert not asked
    with pytest.raises(UsageError, match="digits has no version or alias '7'"):
        registry.version(client, "digits", "7")
    assert asked
