"""What cannot be compared is refused in one sentence with its mend, and its exit code."""

import re

import numpy as np
import pytest

from convoy import store as mlflow_store
from convoy.comparison import compare
from convoy.errors import ConvoyError
from tests.comparison.trackings import Tracking, scored


def refusal(store: Tracking, *named: str, dataset: str | None = None) -> tuple[int, str]:
    """The exit code and the sentence, in which run ids of this test are RUN."""
    with pytest.raises(ConvoyError) as caught:
        compare(store.plan, named, dataset)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", "?"))
    return caught.value.exit_code, re.sub(r"\b[0-9a-f]{8}([0-9a-f]{24})?\b", "RUN", sentence)


def test_nothing_to_compare_yet(store: Tracking) -> None:
    assert refusal(store) == (2, "no finished run on 'digits' yet: start with `convoy run`.")
    assert refusal(store, "1a2b") == (
        2,
        "MLflow knows no run '1a2b': there is none yet, start with `convoy run`.",
    )


def test_an_unknown_run(store: Tracking) -> None:
    run_id = store.training("lenet5", scored([]))
    mistyped = run_id[:6] + ("0" if run_id[6] != "0" else "1") + run_id[7:10]
    code, sentence = refusal(store, mistyped)
    assert (code, sentence) == (2, f"MLflow knows no run '{mistyped}': did you mean RUN (lenet5)?")


@pytest.mark.parametrize("named", ["", "%", "' OR '1'='1", "lenet6", "zz" * 40])
def test_what_is_no_id(store: Tracking, named: str) -> None:
    store.training("lenet5", scored([]))
    code, sentence = refusal(store, named)
    assert code == 2 and f"MLflow knows no run {named!r}: " in sentence
    assert "RUN (lenet5)" in sentence


def test_the_beginning_of_two_ids(store: Tracking) -> None:
    runs = [store.training("mlp", scored([]), seed=seed) for seed in range(17)]
    first = next(one for one in "0123456789abcdef" if sum(run.startswith(one) for run in runs) > 1)
    code, sentence = refusal(store, first)
    assert code == 2 and sentence.startswith(f"'{first}' begins the ids of RUN (mlp), RUN (mlp)")


def test_a_deleted_run(store: Tracking) -> None:
    run_id = store.training("mlp", scored([]))
    store.client.delete_run(run_id)
    code, sentence = refusal(store, run_id)
    assert code == 2
    assert (
        sentence == "run RUN (mlp) was deleted: `mlflow runs restore --run-id RUN` brings it back."
    )


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("FAILED", "run RUN (mlp) failed: `convoy train mlp` trains it again."),
        ("KILLED", "run RUN (mlp) was stopped before its end: `convoy train mlp` trains it again."),
        ("RUNNING", "run RUN (mlp) has not ended: compare it when it has."),
    ],
)
def test_a_run_without_an_end(store: Tracking, status: str, says: str) -> None:
    assert refusal(store, store.training("mlp", None, status=status)) == (2, says)


def test_a_run_without_predictions(store: Tracking) -> None:
    code, sentence = refusal(store, store.training("mlp", None))
    assert code == 2 and sentence.startswith("run RUN (mlp) has no predictions on test")


def test_a_pipelines_own_run(store: Tracking) -> None:
    parent = store.pipeline()
    assert refusal(store, parent)[1].endswith("it has none that could be compared.")
    store.training("zfnet", scored([]), parent)
    # One of them kept from an earlier pipeline run, whose child it is.
    trainings = [store.training("mlp", scored([])), store.training("lenet5", scored([]), parent)]
    assert refusal(store, parent)[1].count("RUN") == 3
    store.end(parent, trainings)
    code, sentence = refusal(store, parent)
    assert code == 2
    assert sentence == (
        "run RUN (pipeline of today) is the whole that trainings belong to: compare its "
        "trainings, `convoy compare RUN RUN`."
    )


def test_other_test_images(store: Tracking) -> None:
    runs = [
        store.training("mlp", scored([])),
        store.training("lenet5", scored([], images=401)),
    ]
    assert refusal(store, *runs) == (
        3,
        "runs RUN (mlp) and RUN (lenet5) were tested on different images (400 and 401): `convoy "
        "compare --rescore` scores all of them on the test split that is here.",
    )


def test_the_same_test_images_of_another_dataset_version_are_the_same(store: Tracking) -> None:
    runs = [
        store.training("mlp", scored([])),
        store.training("lenet5", scored([]), version="b"),
    ]
    assert len(compare(store.plan, runs).pairs) == 1


def test_other_classes(store: Tracking) -> None:
    runs = [
        store.training("mlp", scored([])),
        store.training("lenet5", scored([], classes=("cat", "dog"))),
    ]
    assert refusal(store, *runs) == (
        3,
        "RUN (mlp) tells 3 classes apart and RUN (lenet5) 2, and only one of them knows 'emu': "
        "such networks cannot be compared.",
    )


def test_a_single_test_image(store: Tracking) -> None:
    runs = [store.training(name, scored([], images=1)) for name in ("mlp", "lenet5")]
    code, sentence = refusal(store, *runs)
    assert code == 3
    assert sentence.startswith("the test split has 1 image, which can tell no two networks apart:")


def test_probabilities_that_are_no_numbers(store: Tracking) -> None:
    run_id = store.training("mlp", scored([]))
    file = store.artifact(run_id)
    with np.load(file, allow_pickle=False) as kept:
        arrays = dict(kept)
    arrays["test_probabilities"][3, 1] = np.nan
    np.savez(file, allow_pickle=False, **arrays)
    code, sentence = refusal(store, run_id)
    assert code == 3
    assert sentence.startswith(
        "predictions.npz of run RUN (mlp) cannot be used: Image 3 has the probability nan for 'dog'"
    )


def test_a_deleted_artifact(store: Tracking) -> None:
    run_id = store.training("mlp", scored([]))
    store.artifact(run_id).unlink()
    assert refusal(store, run_id) == (
        4,
        "predictions.npz of run RUN (mlp) is gone from MLflow's artifacts: restore it from a "
        "backup, or score all again with `convoy compare --rescore`.",
    )


def test_a_damaged_artifact(store: Tracking) -> None:
    run_id = store.training("mlp", scored([]))
    file = store.artifact(run_id)
    file.write_bytes(file.read_bytes()[:-100])
    code, sentence = refusal(store, run_id)
    assert code == 3 and sentence.startswith("predictions.npz of run RUN (mlp) is damaged (")


def test_runs_of_different_experiments(store: Tracking) -> None:
    signs = mlflow_store.experiment(store.client, store.plan.project, "signs")
    mine = store.training("mlp", scored([]))
    theirs = type(store)(store.plan, store.client, signs, store.folder).training("mlp", scored([]))
    code, sentence = refusal(store, mine, theirs)
    assert code == 2 and sentence.endswith(
        "are of different experiments: compare runs on one dataset."
    )
    assert refusal(store, mine, dataset="signs") == (
        2,
        "RUN (mlp) is a run on 'digits', not on 'signs'.",
    )
