"""Registered files are verified before anything loads; names that do not exist are answered."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from convoy import registry
from convoy.datamodule import read_split
from convoy.errors import NotReproducible, ParityFailed, UsageError
from convoy.evaluation.evidence import Evidence
from convoy.evaluation.predictions import FILE, Predictions
from convoy.project import Project
from convoy.registration import main as register
from tests.registrations import Spec, registered_once, trained
from tests.stores import new_store
from tests.terminal import environment

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
    before = project.runs / "training 0" / "model.safetensors"
    assert weights.read_bytes() == before.read_bytes()
    assert (there / "data" / "model.pt2").is_file()


def test_the_manifest_tells_every_file_and_whose_they_are(
    registered: tuple[Project, MlflowClient, Spec], tmp_path: Path
) -> None:
    _, client, spec = registered
    chosen = registry.version(client, "digits", "1")
    there = registry.download(chosen, tmp_path / "there", client.tracking_uri)
    manifest = json.loads((there / registry.MANIFEST_FILE).read_text())
    assert (manifest["run_id"], manifest["key"]) == (spec["run_id"], spec["key"])
    told = json.loads(chosen.tags[registry.MANIFEST])
    assert told.items() > manifest["files"].items()
    assert told.keys() - manifest["files"].keys() == {registry.MANIFEST_FILE}
    forms = {"model.safetensors", "architecture.json", "seen_images.npy", "model.onnx"}
    assert {Path(name).name for name in told if name.startswith("extra_files/")} == forms


@pytest.fixture
def second(
    registered: tuple[Project, MlflowClient, Spec], tiny: dict[str, str]
) -> Iterator[registry.Registered]:
    """Another network's version."""
    project, client, _ = registered
    spec = {**trained(project, client, tiny, 1), "onnx": False}
    found = register(spec, lambda event: None)
    yield registry.version(client, "digits", str(found["version"]))
    client.delete_model_version("digits", str(found["version"]))
    shutil.rmtree(spec["folder"])


def test_another_versions_files_are_refused_even_with_their_own_manifest(
    registered: tuple[Project, MlflowClient, Spec],
    second: registry.Registered,
    files: Path,
    tmp_path: Path,
) -> None:
    _, client, spec = registered
    uri = f"models:/digits/{second.version}"
    place = Path(download_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri))
    shutil.rmtree(place)
    shutil.copytree(files, place)
    with pytest.raises(NotReproducible, match="MLmodel is not the file that was registered"):
        registry.verify(second, client.tracking_uri)
    # The older manifest replayed too, as somebody may who can write tags.
    older = registry.version(client, "digits", "1").tags[registry.MANIFEST]
    client.set_model_version_tag("digits", second.version, registry.MANIFEST, older)
    replayed = registry.version(client, "digits", second.version)
    with pytest.raises(NotReproducible, match=f"another version's, of the run {spec['run_id']}"):
        registry.verify(replayed, client.tracking_uri)


def test_a_version_that_is_still_being_written_is_not_served(
    registered: tuple[Project, MlflowClient, Spec], tmp_path: Path
) -> None:
    project, client, _ = registered
    with closing(sqlite3.connect(project.database)) as database:
        database.execute("update model_versions set status = 'PENDING_REGISTRATION'")
        database.commit()
        chosen = registry.version(client, "digits", "1")
        database.execute("update model_versions set status = 'READY'")
        database.commit()
    with pytest.raises(NotReproducible, match="digits version 1 is still being written"):
        registry.download(chosen, tmp_path / "there", client.tracking_uri)


def test_the_same_network_is_registered_once(
    registered: tuple[Project, MlflowClient, Spec],
) -> None:
    _, client, spec = registered
    again = register(spec, lambda event: None)
    assert again["version"] == "1" and again["champion"] is None
    assert again["evidence"]["images"] == len(read_split(spec["files"], "test")[1])
    assert [v.version for v in registry.versions(client, "digits")] == ["1"]


def test_a_version_that_a_lost_reply_made_twice_is_there_once(
    registered: tuple[Project, MlflowClient, Spec],
    tiny: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, client, _ = registered
    create = MlflowClient.create_model_version

    def twice(self: MlflowClient, *arguments: Any, **more: Any) -> Any:
        create(self, *arguments, **more)  # the one whose reply was lost
        return create(self, *arguments, **more)

    spec = {**trained(project, client, tiny, 2), "onnx": False}
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", twice)
        found = register(spec, lambda event: None)
    there = registry.versions(client, "digits")
    assert [v.version for v in there if v.tags["convoy.key"] == spec["key"]] == [found["version"]]
    client.delete_model_version("digits", found["version"])


def test_champion_and_challenger_are_judged_on_the_same_images(
    registered: tuple[Project, MlflowClient, Spec], second: registry.Registered
) -> None:
    project, client, spec = registered
    client.set_registered_model_alias("digits", "champion", "1")
    again = {**spec, "key": second.tags["convoy.key"], "folder": str(project.runs / "training 1")}
    found = register(again, lambda event: None)
    client.delete_registered_model_alias("digits", "champion")
    assert (found["version"], found["champion"]) == (second.version, "1")
    evidence = Evidence.from_json(found["evidence"])
    assert evidence.against is not None
    assert evidence.against.left_out == 0, "both were made from the same dataset version"
    images, _ = read_split(spec["files"], "test")
    assert evidence.images == len(images)
    answers = Predictions.load(project.runs / "training 0" / FILE).test
    assert evidence.against.champion.accuracy == pytest.approx(answers.correct.mean())


def test_a_version_that_scores_otherwise_than_what_was_evaluated_is_refused(
    registered: tuple[Project, MlflowClient, Spec],
) -> None:
    _, _, spec = registered
    words = r"digits version 1 gives probabilities up to"
    with other_answers(Path(spec["folder"])), pytest.raises(ParityFailed, match=words):
        register(spec, lambda event: None)


def test_a_graph_that_answers_otherwise_than_the_network_is_not_registered(
    registered: tuple[Project, MlflowClient, Spec], tiny: dict[str, str]
) -> None:
    project, client, _ = registered
    spec = {**trained(project, client, tiny, 3), "onnx": False}
    before = [v.version for v in registry.versions(client, "digits")]
    words = "the exported graph of mlp gives probabilities"
    with (
        other_answers(Path(spec["folder"])),
        pytest.raises(ParityFailed, match=words) as caught,
    ):
        register(spec, lambda event: None)
    assert caught.value.exit_code == 6
    assert [v.version for v in registry.versions(client, "digits")] == before
    assert registry.by_key(client, "digits", spec["key"]) is None
    experiment = client.get_run(spec["run_id"]).info.experiment_id
    made = client.search_logged_models([experiment])
    assert not [model for model in made if model.source_run_id == spec["run_id"]]


@contextmanager
def other_answers(folder: Path) -> Iterator[None]:
    """As if the network had answered otherwise when it was evaluated."""
    before = (folder / FILE).read_bytes()
    found = Predictions.load(folder / FILE)
    other = replace(found.test, probabilities=found.test.probabilities[::-1])
    replace(found, test=other).save(folder / FILE)
    try:
        yield
    finally:
        (folder / FILE).write_bytes(before)


# Registers in a place whose temporary folder is a disk of two megabytes.
SMALL_DISK = """
import json, sys, tempfile
from convoy.errors import ConvoyError
from convoy.registration import main
tempfile.tempdir = sys.argv[1]
try:
    main(json.loads(sys.argv[2]), print)
except ConvoyError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.soak
@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="a small disk is mounted in a namespace of its own, which this user may not make",
)
def test_a_full_disk_while_exporting_leaves_the_registry_as_it_was(
    registered: tuple[Project, MlflowClient, Spec],
    tiny: dict[str, str],
    tmp_path: Path,
    repository: Path,
) -> None:
    project, client, _ = registered
    spec = {**trained(project, client, tiny, 4), "onnx": False}
    before = [v.version for v in registry.versions(client, "digits")]
    mounted = f'mount -t tmpfs -o size=2m none "{tmp_path}" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", SMALL_DISK]
    more = {"MLFLOW_LOGGING_LEVEL": "ERROR", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    done = subprocess.run(
        [*command, str(tmp_path), json.dumps(spec)],
        env=environment(repository, more),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout.startswith(f"ConvoyError the disk of {tmp_path}"), done.stderr[-2000:]
    assert "is full: the model was not exported and nothing was registered" in done.stdout
    assert [v.version for v in registry.versions(client, "digits")] == before


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
