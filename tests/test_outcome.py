"""A run is skipped only where code, settings, data and champion are those of its receipt."""

import io
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from rich.console import Console

from convoy import outcome, sweep_outcome, versions
from convoy.files import write_json
from convoy.outcome import Outcome
from convoy.plan import Plan, make_plan
from convoy.project import Project
from convoy.sweep_outcome import SweepOutcome
from convoy.sweep_tables import show_sweep
from tests.stores import new_store
from tests.terminal import git

pytestmark = pytest.mark.slow

RESULT = Outcome(
    dataset="digits",
    dataset_version="0" * 32 + ".dir",
    experiment_id="1",
    run_id="r",
    rows=[],
    model="digits",
    version="1",
    alias="champion",
    champion="1",
    allowed=True,
    reasons=["no champion yet"],
    seconds=1.0,
    fit_seconds=0.5,
    samples=".convoy/samples/digits",
)

SWEPT = SweepOutcome(
    architecture="lenet5",
    dataset="digits",
    dataset_version="0" * 32 + ".dir",
    experiment_id="1",
    run_id="r",
    study="s",
    by_loss=False,
    rows=[],
    settings=[],
    importances={},
    seconds=1.0,
)


def plan_of(project: Project, overrides: Collection[str] = ()) -> Plan:
    return make_plan(project, None, ["mlp", "lenet5"], overrides)


@pytest.fixture
def kept(
    ingested: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project whose last run left a receipt and a champion, with its data committed."""
    git(ingested.root, "rm", "--quiet", "--cached", "dvc.lock")
    git(ingested.root, "commit", "--quiet", "--message", "No data")
    git(ingested.root, "add", "dvc.lock")
    git(ingested.root, "commit", "--quiet", "--message", "Data")
    _, client = new_store(ingested.root, tmp_path_factory, monkeypatch)
    client.create_registered_model("digits")
    client.create_model_version("digits", source="file:///nowhere")
    client.create_model_version("digits", source="file:///nowhere")
    client.set_registered_model_alias("digits", "champion", "1")
    outcome.keep(plan_of(ingested), RESULT)
    return ingested


def test_an_unchanged_run_has_the_outcome_of_the_last(kept: Project) -> None:
    assert outcome.unchanged(plan_of(kept)) == RESULT


def test_data_that_is_not_committed_is_flagged_and_under_strict_makes_a_run(kept: Project) -> None:
    git(kept.root, "reset", "--quiet", "--hard", "HEAD~1")
    for folder in ("raw", "prepared"):
        assert (kept.root / "data" / folder / "digits").is_dir()
    assert outcome.unchanged(plan_of(kept)) is None  # nothing is recorded
    git(kept.root, "checkout", "--quiet", "HEAD@{1}", "--", "dvc.lock")
    flagged = RESULT.model_copy(update={"flags": [versions.UNCOMMITTED]})
    assert outcome.unchanged(plan_of(kept)) == flagged
    strict = make_plan(kept, None, ["mlp", "lenet5"], strict=True)
    assert outcome.unchanged(strict) is None


def test_a_sweep_that_is_shown_again_says_that_its_data_is_not_committed(kept: Project) -> None:
    plan = make_plan(kept, None, ["lenet5"])
    sweep_outcome.keep(plan, SWEPT)
    assert sweep_outcome.unchanged(plan) == SWEPT
    git(kept.root, "reset", "--quiet", "--soft", "HEAD~1")
    found = sweep_outcome.unchanged(plan)
    assert found == SWEPT.model_copy(update={"flags": [versions.UNCOMMITTED]})
    assert found
    shown = io.StringIO()
    show_sweep(Console(file=shown, width=200), found, "http://127.0.0.1:5000/", unchanged=True)
    assert f"Note on the dataset version: {versions.UNCOMMITTED}" in shown.getvalue()
    # What was not in the remote is tried again.
    sweep_outcome.keep(plan, SWEPT.model_copy(update={"flags": ["it is not in the remote (no)"]}))
    assert sweep_outcome.unchanged(plan) is None


def test_without_a_receipt_there_is_nothing_to_keep(kept: Project) -> None:
    shutil.rmtree(kept.state / "receipts")
    assert outcome.unchanged(plan_of(kept)) is None


def test_a_torn_receipt_is_no_receipt(kept: Project) -> None:
    file = kept.state / "receipts" / "digits.json"
    file.write_bytes(file.read_bytes()[:100])
    assert outcome.unchanged(plan_of(kept)) is None


@pytest.mark.parametrize(
    "override", ["recipes.mlp.epochs=99", "gate.floor=0.5", "run.seed=2"], ids=str
)
def test_a_setting_that_counts_makes_a_run(kept: Project, override: str) -> None:
    assert outcome.unchanged(plan_of(kept, [override])) is None


@pytest.mark.parametrize("override", ["recipes.resnet20.epochs=99", "schedule.overlap=skip"])
def test_a_setting_that_decides_nothing_here_makes_none(kept: Project, override: str) -> None:
    assert outcome.unchanged(plan_of(kept, [override])) == RESULT


def test_other_architectures_make_a_run(kept: Project) -> None:
    assert outcome.unchanged(make_plan(kept, None, ["mlp"])) is None


def touch(file: Path) -> None:
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def append(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"\n")


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [touch, append, remove])
@pytest.mark.parametrize(
    "file",
    ["raw/digits/digits.csv.gz", "prepared/digits/shards/*.npy", "prepared/digits/shards/*.csv"],
)
def test_data_that_was_written_to_makes_a_run(
    kept: Project, change: Callable[[Path], None], file: str
) -> None:
    change(next((kept.root / "data").glob(file)))
    assert outcome.unchanged(plan_of(kept)) is None


def test_a_lock_that_an_ingest_was_killed_over_is_put_back(kept: Project) -> None:
    whole = kept.lock.read_bytes()
    (kept.state / "ingesting-digits").write_bytes(whole)
    kept.lock.write_bytes(whole[:100])
    assert outcome.unchanged(plan_of(kept)) is not None
    assert kept.lock.read_bytes() == whole


def test_the_champion_is_the_one_of_now(kept: Project) -> None:
    from convoy import store

    store.connect(kept).set_registered_model_alias("digits", "champion", "2")
    found = outcome.unchanged(plan_of(kept))
    assert found is not None and (found.version, found.champion) == ("1", "2")


@pytest.mark.parametrize("database", [None, b"", b"noise" * 1000])
def test_a_registry_that_does_not_answer_makes_a_run(kept: Project, database: bytes | None) -> None:
    kept.database.unlink()
    if database is not None:
        kept.database.write_bytes(database)
    assert outcome.unchanged(plan_of(kept)) is None


def test_a_receipt_of_another_shape_is_no_receipt(kept: Project) -> None:
    write_json(kept.state / "receipts" / "digits.json", ["not", "ours"])
    assert outcome.unchanged(plan_of(kept)) is None
