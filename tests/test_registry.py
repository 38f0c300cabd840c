"""Registered files are verified before anything loads; names that do not exist are answered."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from convoy import registry
from convoy.errors import NotReproducible, ParityFailed, UsageError
from convoy.project import Project
from convoy.registration import main as register
from tests.registrations import Spec, registered_once
from tests.stores import new_store

pytestmark = [
    pytest.mark.slow,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def registered(
    tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, MlflowClient, Spec]]:
    """A network fresh from its initialisation, registered as Convoy registers trained ones."""
    with pytest.MonkeyPatch.context() as patch:
        yield registered_once(tmp_path_factory.mktemp("registered"), tiny, tmp_path_factory, patch)


@pytest.fixture
def files(registered: tuple[Project, MlflowClient, Spec]) -> Iterator[Path]:
    """The registered version's own files, put back after a test has damaged them."""
    uri = registered[1].tracking_uri
    found = Path(download_artifacts(artifact_uri="models:/digits/1", tracking_uri=uri))
    kept = found.with_name("kept")
    shutil.copytree(found, kept)
    yield found
    shutil.rmtree(found, ignore_errors=True)
    shutil.move(kept, found)


def tamper(folder: Path) -> str:
    file = folder / "data" / "model.pt2"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return "data/model.pt2 is not the file that was registered"


def remove(folder: Path) -> str:
    (folder / "extra_files" / "model.safetensors").unlink()
    return "extra_files/model.safetensors is missing"


def add(folder: Path) -> str:
    (folder / "data" / "extra.py").write_text("raise SystemExit('loaded')\n")
    return "data/extra.py is one too many"


def lose(folder: Path) -> str:
    shutil.rmtree(folder)
    return "digits version 1: MLmodel is missing"


@pytest.mark.parametrize("damage", [tamper, remove, add, lose])
def test_files_that_are_not_those_that_were_registered_are_refused(
    damage: Callable[[Path], str],
    registered: tuple[Project, MlflowClient, Spec],
    files: Path,
    tmp_path: Path,
) -> None:
    _, client, _ = registered
    chosen = registry.version(client, "digits", "1")
    words = damage(files)
    with pytest.raises(NotReproducible, match=words) as caught:
        registry.download(chosen, tmp_path / "there", client.tracking_uri)
    assert "convoy rollback digits" in str(caught.value)
    assert caught.value.exit_code == 4


def test_files_without_a_manifest_are_refused(
    registered: tuple[Project, MlflowClient, Spec], tmp_path: Path
) -> None:
    _, client, _ = registered
    source = client.get_model_version("digits", "1").source
    client.create_registered_model("foreign")
    client.create_model_version("foreign", str(source))
    chosen = registry.version(client, "foreign", "1")
    with pytest.raises(NotReproducible, match=r"foreign version 1: .* nothing was loaded"):
        registry.download(chosen, tmp_path / "there", client.tracking_uri)
    client.delete_registered_model("foreign")


def test_whole_files_come_back_as_they_were_registered(
    registered: tuple[Project, MlflowClient, Spec], tmp_path: Path
) -> None:
    project, client, _ = registered
    chosen = registry.version(client, "digits", "1")
    there = registry.download(chosen, tmp_path / "there", client.tracking_uri)
    weights = there / "extra_files" / "model.safetensors"
    trained = project.runs / "training" / "model.safetensors"
    assert weights.read_bytes() == trained.read_bytes()
    assert (there / "data" / "model.pt2").is_file()


def test_the_same_network_is_registered_once(
    registered: tuple[Project, MlflowClient, Spec],
) -> None:
    _, client, spec = registered
    again = register(spec, lambda event: None)
    assert again["version"] == "1"
    assert [v.version for v in registry.versions(client, "digits")] == ["1"]


def test_a_version_that_scores_otherwise_than_what_was_evaluated_is_refused(
    registered: tuple[Project, MlflowClient, Spec],
) -> None:
    import numpy as np

    project, _, spec = registered
    kept = project.runs / "training" / "predictions.npz"
    before = kept.read_bytes()
    with np.load(kept) as found:
        probabilities, labels = found["probabilities"], found["labels"]
    np.savez(kept, probabilities=probabilities[::-1], labels=labels)
    with pytest.raises(ParityFailed, match=r"digits version 1 gives probabilities up to .* away"):
        register(spec, lambda event: None)
    kept.write_bytes(before)


def test_unknown_names_are_answered_with_the_nearest(
    registered: tuple[Project, MlflowClient, Spec],
) -> None:
    _, client, _ = registered
    with pytest.raises(UsageError, match="unknown registered model 'digit': did you mean 'digits'"):
        registry.version(client, "digit", "1")
    with pytest.raises(UsageError, match="digits has no version or alias 'champion': known are 1"):
        registry.version(client, "digits", "champion")
    assert registry.by_alias(client, "digits", "champion") is None
    assert registry.by_key(client, "digits", "another") is None


def test_an_empty_registry_says_how_to_begin(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    assert registry.names(client) == []
    with pytest.raises(UsageError, match="run `convoy run` to register the first one"):
        registry.versions(client, "digits")
