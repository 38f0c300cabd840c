"""What a flow run's page tells, as Markdown."""

from convoy import stories
from convoy.outcome import Outcome, Row
from convoy.pipeline.champion import Rescored

MLFLOW = "http://127.0.0.1:5000"
ROW = Row(
    architecture="lenet5",
    run_id="aa",
    kept=False,
    val_accuracy=0.99,
    test_accuracy=0.9856,
    test_accuracy_low=0.967,
    test_accuracy_high=0.994,
    parameters=61706,
    multiply_adds=420000,
    seconds=3.63,
    microseconds_per_image=24.0,
)
OUTCOME = Outcome(
    dataset="digits",
    dataset_version="f08be26e5015",
    experiment_id="1",
    run_id="pp",
    rows=[ROW, ROW.model_copy(update={"architecture": "a|b", "run_id": "bb", "kept": True})],
    model="digits",
    version="2",
    alias="champion",
    champion="2",
    allowed=True,
    reasons=["test accuracy 98.56% against the floor of 95.00%"],
    sentence="Version 2 may serve.",
    seconds=1.0,
    fit_seconds=0.5,
    samples="",
)


def test_a_pipelines_story_has_verdict_table_and_links() -> None:
    told = stories.pipeline(OUTCOME, MLFLOW)
    assert told.startswith("## digits version 2 may serve (alias `champion`)")
    assert "Version 2 may serve." in told and "- test accuracy 98.56% against" in told
    table = [line for line in told.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1
    assert "[lenet5](http://127.0.0.1:5000/#/experiments/1/runs/aa?" in table[2]
    assert "96.70% to 99.40%" in table[2] and "| 3.6 |" in table[2] and "| kept |" in table[3]
    assert "#/compare-runs?runs=%5B%22aa%22%2C%22bb%22%5D" in told
    assert "/runs/pp/artifacts/report/report.html" in told


def test_a_refusal_a_wait_and_an_unchanged_run_say_so() -> None:
    refused = OUTCOME.model_copy(
        update={"allowed": False, "champion": None, "flags": ["not pushed"]}
    )
    told = stories.pipeline(refused, MLFLOW)
    assert "## digits version 2 was refused" in told
    assert "Champion: none yet" in told and "Note: not pushed." in told
    waits = OUTCOME.model_copy(update={"waits": True})
    assert "and waits for a person" in stories.pipeline(waits, MLFLOW, unchanged=True)
    assert "Nothing to do" in stories.pipeline(waits, MLFLOW, unchanged=True)


def test_a_version_that_was_scored_again_is_held_to_what_it_was() -> None:
    result = Rescored(
        model="digits",
        version="2",
        alias="champion",
        dataset="digits",
        dataset_version="bbbb",
        registered_on="aaaa",
        experiment_id="1",
        run_id="ee",
        kept=False,
        metrics={"test/accuracy": 0.97, "test/recall/7": 0.5, "test/log_loss": 0.1},
        before={"test/accuracy": 0.9856, "val/best_accuracy": 1.0},
    )
    told = stories.rescored(result, MLFLOW)
    assert "97.00% on digits as it is now" in told
    assert "| test/accuracy | 0.9700 | 0.9856 | -0.0156 |" in told
    assert "recall" not in told and "dataset version aaaa" in told
    same = result.model_copy(update={"registered_on": "bbbb", "kept": True})
    assert "the same dataset version" in stories.rescored(same, MLFLOW)


def test_what_was_collected_is_told_with_its_size() -> None:
    item = {
        "kind": "training",
        "name": "x",
        "files": 3,
        "size": 2**21,
        "why": "nothing leads to it",
    }
    assert stories.collected([item], dry_run=True).startswith("## 1 would go, 2.0 MiB")
    assert "Nothing." in stories.collected([], dry_run=False)
