"""A report out of a real MLflow store: from artifacts alone, and a sentence where they are gone."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import store, tracking
from convoy.errors import NotReproducible, UsageError
from convoy.project import Project
from convoy.report.collect import collect
from convoy.report.page import page
from tests.report.records import SKILLS, a_report
from tests.report.stored import STAMPS, keep_run
from tests.stores import new_store

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Kept:
    project: Project
    client: MlflowClient
    run: str
    trainings: dict[str, str]

    def artifacts(self, run: str) -> Path:
        return self.project.state / "artifacts" / "signs" / run / "artifacts"


@pytest.fixture
def kept(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kept]:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    yield Kept(project, client, *keep_run(project, client, tmp_path))


def test_the_report_is_whole_from_what_the_store_has(kept: Kept) -> None:
    report, meant = collect(kept.client, kept.run), a_report()
    assert [one.architecture for one in report.networks] == list(SKILLS)
    assert report.chosen.run_id == kept.trainings["resnet20"]
    for found, expected in zip(report.networks, meant.networks, strict=True):
        assert found.accuracy == expected.accuracy
        assert found.curves == expected.curves
        assert found.predictions and expected.predictions
        assert found.predictions.test.digest == expected.predictions.test.digest
        assert set(found.pictures) == {"worst_mistakes"}
        assert found.missing == {"coverage": "too few images"}
    html = page(report)
    assert "resnet20 is better than mlp" in html
    listed = html.partition('id="missing"')[2]
    assert "mlp, lenet5, resnet20: coverage: too few images." in listed, "once, of all three"
    assert "lineage: unknown registered model &#39;signs&#39;" in listed, "nothing is registered"


def test_the_beginning_of_an_id_names_a_run(kept: Kept) -> None:
    assert collect(kept.client, kept.run[:12]).run_id == kept.run


def test_an_unknown_run_is_refused(kept: Kept) -> None:
    with pytest.raises(UsageError, match="knows no run 'c0de'"):
        collect(kept.client, "c0de")


def test_a_training_names_the_run_that_it_is_part_of(kept: Kept) -> None:
    with pytest.raises(UsageError, match=f"is a training, .*convoy report {kept.run}"):
        collect(kept.client, kept.trainings["mlp"])


@pytest.mark.parametrize(
    ("status", "word"),
    [("FAILED", "failed"), ("KILLED", "was stopped"), ("RUNNING", "has not ended yet")],
)
def test_a_run_that_did_not_come_to_its_end_has_no_report(
    kept: Kept, status: str, word: str
) -> None:
    kept.client.update_run(kept.run, status=status)
    with pytest.raises(UsageError, match=f"{kept.run} {word}, so there is nothing to report"):
        collect(kept.client, kept.run)


def test_a_run_of_another_kind_is_refused(kept: Kept) -> None:
    experiment = store.experiment(kept.client, kept.project, "signs")
    sweep = tracking.open_sweep(kept.client, experiment, "key", "sweep mlp", STAMPS)
    tracking.close(kept.client, sweep)
    with pytest.raises(UsageError, match=r"sweep mlp.*is no pipeline run"):
        collect(kept.client, sweep)


def test_a_run_that_lost_what_it_kept_of_itself_is_refused(kept: Kept) -> None:
    (kept.artifacts(kept.run) / "pipeline.json").write_text('{"outcome": 1}')
    with pytest.raises(NotReproducible, match=r"no whole pipeline\.json"):
        collect(kept.client, kept.run)
    (kept.artifacts(kept.run) / "pipeline.json").unlink()
    with pytest.raises(NotReproducible, match=r"no whole pipeline\.json"):
        collect(kept.client, kept.run)


def test_a_training_that_is_gone_or_was_never_scored_is_refused(kept: Kept) -> None:
    experiment = store.experiment(kept.client, kept.project, "signs")
    empty = tracking.open_training(kept.client, experiment, kept.run, "k", "mlp", {}, 1, STAMPS)
    kept.client.set_tag(kept.run, tracking.TRAININGS, empty)
    with pytest.raises(NotReproducible, match=r"has no test/accuracy"):
        collect(kept.client, kept.run)
    kept.client.set_tag(kept.run, tracking.TRAININGS, "0" * 32)
    with pytest.raises(NotReproducible, match="is gone from MLflow"):
        collect(kept.client, kept.run)


def test_without_its_predictions_a_network_stands_in_the_table_and_says_what_is_missing(
    kept: Kept,
) -> None:
    there = kept.artifacts(kept.trainings["mlp"])
    (there / "predictions.npz").write_bytes(b"no archive")
    shutil.rmtree(kept.artifacts(kept.trainings["lenet5"]))
    report = collect(kept.client, kept.run)
    reasons = report.missing
    assert "predictions.npz of run" in reasons["mlp: what is said of each image"]
    assert "is damaged" in reasons["mlp: what is said of each image"]
    assert "not among the artifacts" in reasons["lenet5: what is said of each image"]
    assert "evaluation.json is not" in reasons["lenet5: confusions and rates by class"]
    html = page(report)
    for one in report.networks:
        assert f"{one.accuracy:.2%}" in html
    assert "it takes what two networks say of each image" in html
