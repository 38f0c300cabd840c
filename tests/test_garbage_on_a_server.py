"""What nothing leads to on a server that others use too: files go, records stay."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from convoy import garbage, promotion, registry, store, versions
from convoy.errors import NotReproducible
from convoy.project import Project
from tests.servers import mlflow_server, postgresql
from tests.stores import add_whole_version

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class World:
    """Five versions: the third serves after the second, the fourth waits; and runs that failed."""

    project: Project
    client: MlflowClient
    failed: str
    anothers: str
    """A run that failed in an experiment of somebody else's."""


@pytest.fixture
def world(_ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    root = tmp_path / "project"
    shutil.copytree(_ingested, root)
    project = Project(root)
    params = yaml.safe_load(project.params.read_text())
    params["gc"] = {"champions": 1, "days": 0}
    project.params.write_text(yaml.safe_dump(params, sort_keys=False))
    monkeypatch.setenv("PYTHONPATH", f"{root / 'src'}{os.pathsep}{root}")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project.state / "dvc-site"))
    with postgresql() as backend, mlflow_server(tmp_path / "server", backend) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield made(project)


def made(project: Project) -> World:
    client = store.connect(project)
    tags = {"convoy.dataset_version": versions.current(project, "digits").hash}
    for number in range(1, 6):
        add_whole_version(project, client, "digits", f"training {number}", tags)
    for served in ("1", "2", "3"):
        promotion.promote(client, "digits", served, "better")
    promotion.keep_challenger(client, "digits", "4")
    own, others = store.experiment(client, project, "digits"), client.create_experiment("others")
    return World(project, client, failed_in(client, own), failed_in(client, others))


def failed_in(client: MlflowClient, experiment: str) -> str:
    run_id = str(client.create_run(experiment).info.run_id)
    client.log_text(run_id, "what it kept", "note.txt")
    client.set_terminated(run_id, "FAILED")
    return run_id


def test_files_of_what_nothing_leads_to_go_and_all_else_stays(world: World, tmp_path: Path) -> None:
    found = garbage.survey(world.project)
    assert {(item.kind, item.name) for item in found} == {
        ("version", "digits/1"),
        ("version", "digits/5"),
        ("run", world.failed),
    }
    assert garbage.collect(world.project) == found
    uri = world.client.tracking_uri
    for number in ("2", "3", "4"):
        whole = registry.version(world.client, "digits", number)
        assert (registry.download(whole, tmp_path / number, uri) / "data/model.pt2").is_file()
    for number in ("1", "5"):
        gone = registry.version(world.client, "digits", number)
        with pytest.raises(NotReproducible):
            registry.download(gone, tmp_path / number, uri)
    # It can be restored until the server's own `mlflow gc`, and nobody else's was looked at.
    assert world.client.get_run(world.failed).info.lifecycle_stage == "deleted"
    world.client.restore_run(world.failed)
    assert [one.path for one in world.client.list_artifacts(world.failed)] == ["note.txt"]
    assert world.client.get_run(world.anothers).info.lifecycle_stage == "active"


def test_a_second_collection_finds_nothing(world: World) -> None:
    assert garbage.collect(world.project)
    assert garbage.survey(world.project) == []
