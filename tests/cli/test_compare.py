"""`convoy compare --rescore` on runs of the real pipeline."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from convoy import tracking
from convoy.evaluation.predictions import FILE, Predictions, Scored
from tests.terminal import convoy

pytestmark = pytest.mark.slow


def client_of(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def only_run(root: Path) -> dict[str, Any]:
    (run,) = convoy(root, "compare", "--json").json()["runs"]
    return dict(run)


def twin(root: Path, run: dict[str, Any], folder: Path) -> str:
    """A run of the same training, tested on fewer images and by no registered model."""
    client = client_of(root)
    of = client.get_run(run["run_id"])
    kept = Predictions.load(Path(client.download_artifacts(run["run_id"], FILE, str(folder))))
    tags = {name: value for name, value in of.data.tags.items() if name != "mlflow.runName"}
    made = client.create_run(of.info.experiment_id, run_name="twin", tags=tags)
    for name, value in {**of.data.params, "seed": "2"}.items():
        client.log_param(made.info.run_id, name, value)
    tracking.log_metrics(client, made.info.run_id, of.data.metrics)
    test = kept.test
    fewer = Scored(test.probabilities[:-9], test.labels[:-9], test.images[:-9], test.classes)
    Predictions(fewer, kept.val).save(folder / FILE)
    tracking.log_file(client, made.info.run_id, folder / FILE)
    tracking.close(client, made.info.run_id)
    return str(made.info.run_id)


@pytest.mark.soak
def test_other_test_images_are_refused_until_told_to_score_again(
    mine: Path, tmp_path: Path
) -> None:
    run = only_run(mine)
    other = twin(mine, run, tmp_path)
    done = convoy(mine, "compare", run["run_id"], other)
    assert done.code == 3 and "were tested on different images" in done.sentence
    done = convoy(mine, "compare", run["run_id"], other, "--rescore", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert found["rescored"]["sources"] == {
        run["run_id"]: "digits version 1",
        other: "its training of seed 2 here",
    }
    # The registered graph and the training's network: one recipe, here as two seeds of it.
    (network,) = found["networks"]
    again = [one["metrics"]["test/accuracy"] for one in found["runs"]]
    assert again == [run["metrics"]["test/accuracy"]] * 2
    assert network["metrics"]["test/accuracy"]["deviation"] == 0
    assert found["images"] == run["metrics"]["test/count"]
    shown = convoy(mine, "compare", run["run_id"][:9], "--rescore")
    assert "All were scored again on the test split of version" in shown.out
    assert "mlp from digits version 1" in shown.out


def test_what_cannot_be_scored_again_is_refused_before_anything_is_loaded(
    mine: Path, tmp_path: Path
) -> None:
    run = only_run(mine)
    other = twin(mine, run, tmp_path)
    weights = next((mine / ".convoy" / "runs").glob("*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    done = convoy(mine, "compare", other, "--rescore", "--json")
    assert done.code == 4
    said = done.err.strip().splitlines()[-1]
    assert said.startswith("convoy: run ") and "cannot be scored again: no registered" in said
    assert "Traceback" not in done.err
