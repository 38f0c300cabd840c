"""A training's files from one folder to another through MLflow, and whatever goes wrong there."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import digests, tracking, training_files
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import write_json
from convoy.store import experiment
from convoy.training.spec import finished
from tests.stores import new_store
from tests.test_tracking import STAMPS

KEY = "k" * 64


@pytest.fixture
def client(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    experiment(client, project, "digits")
    return client


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    """A finished training whose files are kept with its run."""
    found = client.get_experiment_by_name("digits")
    assert found
    run_id = tracking.open_training(
        client, found.experiment_id, "parent", KEY, "mlp", {}, 1, STAMPS
    )
    folder = trained(tmp_path / "worker")
    (folder / "figures").mkdir()
    (folder / "figures" / "one.png").write_bytes(b"a figure")
    write_json(folder / "evaluation.json", {"figures": {"one": "figures/one.png"}})
    tracking.log_file(client, run_id, folder / "evaluation.json")
    tracking.log_file(client, run_id, folder / "figures" / "one.png", "figures")
    training_files.pack(client, run_id, folder)
    tracking.close(client, run_id)
    return run_id


def trained(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    sha256 = digests.file(folder / "model.safetensors")
    result = {
        "key": KEY, "architecture": "mlp", "weights_sha256": sha256,
        "best_epoch": 1, "epochs": 1, "val_loss": 1.0, "val_accuracy": 0.5, "seconds": 1.0,
        "device": "cpu", "precision": "float32", "compiled": False, "reader": "device", "parts": 1,
        "ended": "epochs",
    }  # fmt: skip
    write_json(folder / "result.json", result)
    return folder


def bring(client: MlflowClient, folder: Path) -> bool:
    found = client.get_experiment_by_name("digits")
    assert found
    return training_files.bring_finished(client, found.experiment_id, KEY, folder)


def artifact(client: MlflowClient, run_id: str, name: str) -> Path:
    return Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / name


def test_a_folder_elsewhere_gets_every_file_as_it_was(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    assert bring(client, home) and finished(home)
    names = ["evaluation.json", "figures/one.png", "model.safetensors", "result.json"]
    there = [file for file in home.rglob("*") if file.is_file()]
    assert sorted(file.relative_to(home).as_posix() for file in there) == names
    for name in names:
        assert (home / name).read_bytes() == (tmp_path / "worker" / name).read_bytes()
    assert bring(client, home), "what is whole already is left as it is"


def test_nothing_counts_before_the_run_is_finished(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.update_run(run_id, status="RUNNING")
    assert not bring(client, tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["training/model.safetensors", "training/manifest.json"])
def test_a_file_that_was_changed_or_lost_is_never_taken(
    client: MlflowClient, run_id: str, tmp_path: Path, name: str
) -> None:
    file = artifact(client, run_id, name)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(NotReproducible, match=f"{name} of run {run_id} is not the file"):
        bring(client, tmp_path / "home")
    file.unlink()
    with pytest.raises(ConvoyError, match=f"run {run_id} keeps no {name} any more"):
        bring(client, tmp_path / "home")
    assert finished(tmp_path / "home") is None
