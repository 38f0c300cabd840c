"""The whole pipeline through its command line: what it leaves in MLflow, DVC, Git and Prefect."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn import metrics as reference

from convoy.datamodule import read_split
from convoy.evaluation.predictions import Predictions
from convoy.ingestion.prepare import files_of
from tests.flows.conftest import Chapter
from tests.offline import without_network
from tests.terminal import convoy, environment, git

pytestmark = [
    pytest.mark.slow,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

PNG = b"\x89PNG\r\n\x1a\n"


def client_of(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def trainings(chapter: Chapter) -> dict[str, Run]:
    """The child runs of a chapter's pipeline by architecture, as it names them."""
    client = client_of(chapter.root)
    return {
        row["architecture"]: client.get_run(row["run_id"]) for row in chapter.done.json()["rows"]
    }


def experiment_of(client: MlflowClient) -> str:
    found = client.get_experiment_by_name("digits")
    assert found is not None
    return str(found.experiment_id)


def kept(chapter: Chapter) -> dict[str, bool]:
    return {row["architecture"]: row["kept"] for row in chapter.done.json()["rows"]}


def champion(root: Path) -> str:
    return str(client_of(root).get_model_version_by_alias("digits", "champion").version)


def artifact(run: Run, name: str) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


def test_the_first_run_registers_version_1_as_champion(first: Chapter) -> None:
    assert first.done.code == 0, first.done.err
    found = first.done.json()
    assert (found["version"], found["alias"], found["champion"]) == ("1", "champion", "1")
    assert found["allowed"] and not found["unchanged"]
    assert "no champion yet" in found["reasons"]
    assert found["sentence"].startswith("Version 1 may serve: it is right on ")
    kept_verdict = artifact(client_of(first.root).get_run(found["run_id"]), "verdict.json")
    assert json.loads(kept_verdict.read_text())["sentence"] == found["sentence"]


def test_the_first_run_needs_no_network(first: Chapter) -> None:
    if not without_network():
        pytest.skip("this user may not take the network away (unshare -n)")
    assert "rror" not in first.done.err


def test_the_first_run_shows_each_step_as_timestamped_lines_and_nothing_else(
    first: Chapter,
) -> None:
    lines = first.done.err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S", line) for line in lines), lines
    for step in ("ingest", "train mlp", "train lenet5", "register", "gate"):
        assert any(f"  {step}: done" in line for line in lines)


def test_a_run_leaves_the_working_tree_as_it_was(first: Chapter) -> None:
    assert first.changes == ""


def test_mlflow_holds_one_experiment_with_a_parent_and_a_child_an_architecture(
    first: Chapter,
) -> None:
    client = client_of(first.root)
    names = [found.name for found in client.search_experiments()]
    assert sorted(names) == ["Default", "digits"]
    found = first.done.json()
    parent = client.get_run(found["run_id"])
    children = trainings(first)
    assert set(children) == {"mlp", "lenet5"}
    for name, child in children.items():
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.run_name == name
    for run in (parent, *children.values()):
        assert run.info.status == "FINISHED"
        assert run.info.experiment_id == experiment_of(client)


def test_every_value_of_the_recipe_and_the_seed_are_params(first: Chapter) -> None:
    settings = yaml.safe_load((first.root / "params.yaml").read_text())
    for name, run in trainings(first).items():
        expected = {"architecture": name, "seed": settings["run"]["seed"]}
        values = settings["recipes"][name]
        expected |= {key: value for key, value in values.items() if key != "augment"}
        expected |= {f"augment.{key}": value for key, value in values["augment"].items()}
        assert run.data.params == {key: str(value) for key, value in expected.items()}


def test_metrics_go_by_epoch_each_step_once(first: Chapter) -> None:
    client = client_of(first.root)
    for run in trainings(first).values():
        for name in ("train/loss", "val/loss", "val/accuracy"):
            history = client.get_metric_history(run.info.run_id, name)
            assert [metric.step for metric in history] == [1, 2, 3, 4]


def test_every_run_carries_commit_dataset_version_and_flow_run(first: Chapter) -> None:
    lock = yaml.safe_load((first.root / "dvc.lock").read_text())
    parent = client_of(first.root).get_run(first.done.json()["run_id"])
    with sqlite3.connect(first.root / ".convoy/prefect/prefect.db") as database:
        flows = dict(database.execute("select id, state_type from flow_run"))
    for run in (parent, *trainings(first).values()):
        tags = run.data.tags
        assert tags["convoy.commit"] == git(first.root, "rev-parse", "HEAD")
        assert tags["convoy.dirty"] == "false"
        recorded = lock["stages"]["prepare@digits"]["outs"][0]["md5"]
        assert tags["convoy.dataset_version"] == recorded
        manifest = json.loads((first.root / "data/prepared/digits/manifest.json").read_text())
        assert tags["convoy.dataset_digest"] == manifest["digest"]
        assert "convoy.dataset_flagged" not in tags, "it is committed and pushed"
        assert flows[tags["convoy.flow_run"]] == "COMPLETED"


def test_the_dataset_is_an_input_with_its_dvc_digest(first: Chapter) -> None:
    version = first.done.json()["dataset_version"]
    for run in trainings(first).values():
        assert run.inputs is not None
        (given,) = run.inputs.dataset_inputs
        assert given.dataset.name == "digits"
        assert given.dataset.digest == version.removesuffix(".dir")
        assert json.loads(given.dataset.source)["dvc"] == version


def test_the_page_of_the_dataset_is_kept_with_the_pipelines_run(first: Chapter) -> None:
    parent = client_of(first.root).get_run(first.done.json()["run_id"])
    page = artifact(parent, "dataset/page.html").read_text()
    assert page.startswith("<!doctype html>") and "digits" in page


def test_figures_are_kept_as_png_images(first: Chapter) -> None:
    for run in trainings(first).values():
        for name in ("confusion_matrix", "curves", "reliability", "coverage"):
            assert artifact(run, f"figures/{name}.png").read_bytes().startswith(PNG)


def test_a_run_holds_where_its_network_fails_and_what_it_looks_at(first: Chapter) -> None:
    for name, run in trainings(first).items():
        inspected = json.loads(artifact(run, "inspection.json").read_text())
        for file in inspected["figures"].values():
            assert artifact(run, file).read_bytes().startswith(PNG)
        of_maps = {"explanation/feature_maps", "explanation/grad_cam"}
        assert {"robustness", "errors/worst_mistakes"} <= set(inspected["figures"])
        assert of_maps & set(inspected["missing"]) == (of_maps if name == "mlp" else set())
        for metric, value in inspected["metrics"].items():
            assert metric.startswith("robust/")
            assert run.data.metrics[metric] == pytest.approx(value)
        history = client_of(first.root).get_metric_history(run.info.run_id, "robust/accuracy/noise")
        assert [metric.step for metric in sorted(history, key=lambda one: one.step)] == [*range(6)]


def test_test_metrics_equal_scikit_learns_from_the_kept_predictions(first: Chapter) -> None:
    for run in trainings(first).values():
        test = Predictions.load(artifact(run, "predictions.npz")).test
        scored, labels = test.probabilities, test.labels
        predicted = scored.argmax(axis=1)
        shares = scored.astype(np.float64)
        shares /= shares.sum(axis=1, keepdims=True)
        expected = {
            "test/accuracy": reference.accuracy_score(labels, predicted),
            "test/balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "test/macro_f1": reference.f1_score(labels, predicted, average="macro"),
            "test/negative_log_likelihood": reference.log_loss(labels, shares),
            "test/roc_auc": reference.roc_auc_score(labels, shares, multi_class="ovr"),
        }
        for name, value in expected.items():
            assert run.data.metrics[name] == pytest.approx(value, abs=1e-6), name
        manifest = json.loads((first.root / "data/prepared/digits/manifest.json").read_text())
        assert len(labels) == sum(manifest["counts"]["test"].values())


def test_the_evaluation_is_kept_with_the_run_and_its_numbers_are_the_runs(first: Chapter) -> None:
    for run in trainings(first).values():
        found = json.loads(artifact(run, "evaluation.json").read_text())
        assert found["metrics"].items() <= run.data.metrics.items()
        test = Predictions.load(artifact(run, "predictions.npz")).test
        assert found["test_version"] == test.digest
        for name, (low, high) in found["evaluation"]["intervals"].items():
            if "/" not in name:
                assert run.data.metrics[f"interval/{name}_low"] == low <= high
        note = run.data.tags["mlflow.note.content"]
        assert all(f"Missing: {name} ({why})." in note for name, why in found["missing"].items())


def test_the_registered_model_loads_in_plain_mlflow_and_scores_what_was_logged(
    first: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(first.root)
    version = client.get_model_version("digits", "1")
    run = client.get_run(str(version.run_id))
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(client.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/digits/1")
    test = read_split(files_of(first.root / "data/prepared/digits"), "test")
    images, labels = (part.numpy() for part in test)
    starts = range(0, len(labels), 100)
    scored = np.concatenate([model.predict(images[at : at + 100]) for at in starts])
    accuracy = float((scored.argmax(axis=1) == labels).mean())
    assert accuracy == pytest.approx(run.data.metrics["test/accuracy"], abs=1e-9)
    # Another batch and another size: the graph resizes by itself.
    others = np.random.default_rng(1).integers(0, 256, (3, 41, 57, 1), dtype=np.uint8)
    answered = model.predict(others)
    assert answered.shape == (3, 10)
    assert answered.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_the_registered_model_says_what_it_takes_and_gives(first: Chapter) -> None:
    client = client_of(first.root)
    mlflow.set_tracking_uri(client.tracking_uri)
    info = mlflow.models.get_model_info("models:/digits/1")
    (given,), (answered,) = info.signature.inputs.inputs, info.signature.outputs.inputs
    assert (given.type, given.shape) == (np.dtype("uint8"), (-1, -1, -1, 1))
    assert (answered.type, answered.shape) == (np.dtype("float32"), (-1, 10))
    assert info.saved_input_example_info is not None
    assert info.metadata is not None
    assert info.metadata["classes"] == [str(digit) for digit in range(10)]
    assert info.metadata["recipe"]["epochs"] == 4
    logged = client.get_run(str(client.get_model_version("digits", "1").run_id)).data.metrics
    for name in ("test/accuracy", "test/accuracy_low", "test/accuracy_high"):
        assert info.metadata["metrics"][name] == logged[name]
    tags = client.get_model_version("digits", "1").tags
    assert tags["convoy.dataset_version"] == first.done.json()["dataset_version"]
    assert tags["convoy.commit"] == git(first.root, "rev-parse", "HEAD")


def test_nothing_that_is_registered_can_unpickle(first: Chapter) -> None:
    client = client_of(first.root)
    files = json.loads(client.get_model_version("digits", "1").tags["convoy.manifest"])
    assert "data/model.pt2" in files and "extra_files/model.safetensors" in files
    assert "manifest.json" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pth", ".pt"))]
    kept_files = [path for path in (first.root / ".convoy/artifacts").rglob("*") if path.is_file()]
    assert not [path for path in kept_files if path.suffix in (".pkl", ".pickle", ".pth", ".pt")]


def test_an_unchanged_second_run_does_nothing_and_says_so(second: Chapter) -> None:
    assert second.done.code == 0
    assert second.done.out.startswith("Nothing to do: code, settings and data are those of the")
    assert "champion" in second.done.out and "lenet5" in second.done.out
    assert second.done.err == ""
    assert second.changes == ""


def test_an_unchanged_second_run_imports_none_of_the_heavy_libraries(second: Chapter) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['convoy', 'run']\n"
        "from convoy.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'pytorch_lightning', 'prefect', 'mlflow', 'dvc', 'pandas'}\n"
        "    sys.stderr.write(f'{end.code} {sorted(heavy & set(sys.modules))}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=second.root,
        env=environment(second.root),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("Nothing to do")
    assert done.stderr == "0 []"


def test_comments_change_nothing_wherever_they_stand(commented: Chapter) -> None:
    found = commented.done.json()
    assert commented.done.code == 0 and found["unchanged"]
    assert commented.changes.splitlines(), "the comments are there"


def test_a_worse_model_is_refused_with_reasons_and_the_champion_stays(
    commented: Chapter, refused: Chapter
) -> None:
    found = refused.done.json()
    assert refused.done.code == 5
    assert not found["allowed"] and found["alias"] == "challenger"
    assert "test accuracy" in found["reasons"][0] and "floor" in found["reasons"][0]
    assert any(f"champion version {found['champion']}" in reason for reason in found["reasons"])
    assert found["reasons"][-1].startswith("neither better (")
    assert found["champion"] == commented.done.json()["champion"]
    challenger = client_of(refused.root).get_model_version("digits", found["version"])
    verdict = json.loads(challenger.tags["convoy.verdict"])
    assert (verdict["allowed"], verdict["reasons"]) == (False, found["reasons"])
    evidence = verdict["numbers"]["evidence"]
    assert evidence["against"]["champion"]["version"] == found["champion"]
    assert evidence["dataset_version"] == found["dataset_version"]
    assert "challenger" in challenger.aliases


@pytest.mark.soak
def test_one_changed_recipe_value_retrains_that_architecture_alone(
    first: Chapter, tuned: Chapter
) -> None:
    assert tuned.done.code in (0, 5), tuned.done.err
    assert kept(tuned) == {"mlp": False, "lenet5": True}
    before, after = trainings(first), trainings(tuned)
    assert after["lenet5"].info.run_id == before["lenet5"].info.run_id
    assert after["mlp"].info.run_id != before["mlp"].info.run_id
    assert after["mlp"].data.params["weight_decay"] == "0.001"


@pytest.mark.soak
def test_a_changed_line_of_an_architecture_retrains_it_alone(
    first: Chapter, recoded: Chapter
) -> None:
    assert recoded.done.code in (0, 5), recoded.done.err
    assert kept(recoded) == {"mlp": True, "lenet5": False}
    after = trainings(recoded)
    assert after["mlp"].info.run_id == trainings(first)["mlp"].info.run_id
    assert after["lenet5"].data.tags["convoy.dirty"] == "true"


@pytest.mark.soak
def test_changed_data_makes_a_new_version_and_retrains_all(
    recoded: Chapter, shrunk: Chapter
) -> None:
    assert shrunk.done.code in (0, 5), shrunk.done.err
    found = shrunk.done.json()
    assert found["dataset_version"] != recoded.done.json()["dataset_version"]
    assert kept(shrunk) == {"mlp": False, "lenet5": False}
    assert "dvc.lock" in shrunk.changes
    for run in trainings(shrunk).values():
        assert run.data.tags["convoy.dataset_version"] == found["dataset_version"]


@pytest.mark.soak
def test_a_run_on_a_version_that_nobody_committed_is_flagged(shrunk: Chapter) -> None:
    found = shrunk.done.json()
    (flag,) = found["flags"]
    assert "not committed: `git commit dvc.lock params.yaml`" in flag
    parent = client_of(shrunk.root).get_run(found["run_id"])
    assert parent.data.tags["convoy.dataset_flagged"] == flag
    refused = convoy(shrunk.root, "run", "--strict")
    assert refused.code == 4
    assert "--strict refuses this version of 'digits': its dvc.lock" in refused.err


def test_nothing_is_left_running_and_the_journal_tells_every_champion(refused: Chapter) -> None:
    client = client_of(refused.root)
    experiment = experiment_of(client)
    assert not client.search_runs([experiment], "attributes.status = 'RUNNING'")
    tags: dict[str, Any] = client.get_registered_model("digits").tags
    entries = [json.loads(v) for k, v in sorted(tags.items()) if k.startswith("convoy.journal.")]
    assert [entry["state"] for entry in entries] == ["done"] * len(entries)
    assert entries[0]["version"] == "1" and entries[0]["previous"] is None
    assert entries[-1]["version"] == champion(refused.root)
