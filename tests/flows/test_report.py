"""What a pipeline run keeps for people: descriptions, its report, a card for what it registers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from convoy.views import TAG
from tests.clones import copy_of
from tests.flows.conftest import Chapter
from tests.terminal import convoy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(first: Chapter, tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    """A copy of the first run's project, to change."""
    return replace(first, root=copy_of(first.root, tmp_path_factory.mktemp("told") / "project"))


def client_of(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def runs_of(chapter: Chapter) -> tuple[Run, list[Run]]:
    """The pipeline's run and its trainings'."""
    client, outcome = client_of(chapter.root), chapter.done.json()
    trainings = [client.get_run(row["run_id"]) for row in outcome["rows"]]
    return client.get_run(outcome["run_id"]), trainings


def kept(run: Run, name: str) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


def test_every_run_says_what_it_is_on_which_data_how_good_and_how_to_make_it_again(
    told: Chapter,
) -> None:
    parent, trainings = runs_of(told)
    version = told.done.json()["dataset_version"]
    for run in (parent, *trainings):
        note = run.data.tags["mlflow.note.content"]
        assert f"`digits` version `{version}`" in note
        accuracy = run.data.metrics["test/accuracy"]
        assert f"{accuracy:.2%}" in note
        assert f"git checkout {run.data.tags['convoy.commit']}" in note
        assert "convoy run --dataset digits --architectures" in note


def test_metrics_are_in_groups_that_charts_make_sections_of(told: Chapter) -> None:
    parent, trainings = runs_of(told)
    groups = {name.partition("/")[0] for run in (parent, *trainings) for name in run.data.metrics}
    assert {"train", "val", "test", "cost"} <= groups and "best" not in groups
    for run in trainings:
        assert {"val/best_accuracy", "val/best_loss", "val/best_epoch"} <= run.data.metrics.keys()
        assert run.inputs is not None
        assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["digits"]


def test_the_confusion_matrices_can_be_seen_side_by_side(told: Chapter) -> None:
    client = client_of(told.root)
    for run in runs_of(told)[1]:
        images = [Path(one.path).name for one in client.list_artifacts(run.info.run_id, "images")]
        shown = [name for name in images if name.endswith(".png")]
        epoch = int(run.data.metrics["val/best_epoch"])
        assert len(shown) == 1 and shown[0].startswith(f"confusion_matrix+step+{epoch}+")


def test_the_experiment_offers_the_view(told: Chapter) -> None:
    client = client_of(told.root)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None and TAG in experiment.tags


def test_the_report_lies_with_the_run_and_is_the_same_when_it_is_made_again(
    told: Chapter, tmp_path: Path
) -> None:
    parent, trainings = runs_of(told)
    html = kept(parent, "report/report.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000
    for run in trainings:
        assert f"{run.data.metrics['test/accuracy']:.2%}" in html
    file = tmp_path / "again.html"
    done = convoy(told.root, "report", "--output", str(file), "--json")
    assert done.code == 0, done.err
    assert file.read_text(encoding="utf-8") == html
    assert done.json()["run_id"] == parent.info.run_id
    assert done.json()["outcome"]["version"] == "1"


def test_the_registered_version_has_its_card(told: Chapter) -> None:
    version = client_of(told.root).get_model_version("digits", "1")
    assert version.run_id
    run = client_of(told.root).get_run(version.run_id)
    card = version.description or ""
    assert f"| accuracy | {run.data.metrics['test/accuracy']:.2%} |" in card
    assert "copy of the test set of the UCI ML hand-written digits datasets" in card
    assert "models:/digits@champion" in card
    (file,) = (told.root / ".convoy" / "artifacts").rglob("MODEL_CARD.md")
    assert file.read_text(encoding="utf-8").startswith(card[:5000])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["c0de"], 2, "MLflow knows no run 'c0de'"),
        (["--dataset", "nothing"], 2, "nothing"),
        (["--output", "no/folder/report.html"], 2, "create it first"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_a_sentence(
    told: Chapter, arguments: list[str], code: int, words: str
) -> None:
    done = convoy(told.root, "report", *arguments)
    assert done.code == code
    assert words in done.sentence


def test_a_run_that_lost_its_record_is_refused_as_not_reproducible(told: Chapter) -> None:
    parent, _ = runs_of(told)
    file = kept(parent, "pipeline.json")
    record = file.read_bytes()
    try:
        file.unlink()
        done = convoy(told.root, "report", parent.info.run_id)
    finally:
        file.write_bytes(record)
    assert done.code == 4
    assert "has no whole pipeline.json among its artifacts any more" in done.sentence
    assert json.loads(record)["registered"]
