"""The evaluation program on a network fresh from its initialisation and 400 small digits."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from convoy.architectures import build
from convoy.datamodule import read_split
from convoy.errors import DataRefused
from convoy.evaluation import program
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.predictions import FILE, Predictions
from convoy.graph import ArchitectureRecord, load_graph, probabilities
from tests.evaluation.scorings import predictions

Evaluated = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def evaluated(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """What the program was told, and what it answered."""
    folder = tmp_path_factory.mktemp("training")
    manifest = json.loads(Path(tiny["manifest.json"]).read_bytes())
    torch.manual_seed(0)
    network = build("mlp", num_classes=10, in_channels=1, image_size=8, options={})
    save_file(network.state_dict(), folder / "model.safetensors")
    names = ("classes", "channels", "image_size", "mean", "std")
    record = ArchitectureRecord("mlp", *(manifest[name] for name in names))
    spec = {"folder": str(folder), "record": asdict(record), "files": tiny, "key": "one"}
    return spec, program.main(spec, lambda event: None)


def test_predictions_of_test_and_val_are_kept_in_the_order_of_the_split(
    evaluated: Evaluated, tiny: dict[str, str]
) -> None:
    spec, _ = evaluated
    kept = Predictions.load(Path(spec["folder"]) / FILE)
    graph = load_graph(
        ArchitectureRecord(**spec["record"]), Path(spec["folder"]) / "model.safetensors"
    )
    for split, scored in (("test", kept.test), ("val", kept.val)):
        images, labels = read_split(tiny, split)  # type: ignore[arg-type]
        assert np.array_equal(scored.labels, labels.numpy())
        expected = probabilities(graph, images).numpy()
        assert np.allclose(scored.probabilities, expected, atol=1e-6)
        assert list(scored.images) == sorted(scored.images)
    assert not set(kept.test.images) & set(kept.val.images)


def test_what_is_there_is_kept_and_what_is_damaged_is_scored_anew(evaluated: Evaluated) -> None:
    spec, result = evaluated
    folder = Path(spec["folder"])
    before = (folder / FILE).stat().st_mtime_ns
    assert program.main(spec, lambda event: None) == json.loads(json.dumps(result))
    assert (folder / FILE).stat().st_mtime_ns == before
    (folder / FILE).write_bytes(b"")
    program.main(spec, lambda event: None)
    assert Predictions.load(folder / FILE).classes == tuple(spec["record"]["classes"])


def test_all_that_follows_is_kept_as_plain_values(evaluated: Evaluated) -> None:
    spec, result = evaluated
    folder = Path(spec["folder"])
    assert json.loads((folder / "evaluation.json").read_text()) == result
    assert set(result["figures"]) == {"confusion_matrix", "reliability", "coverage"}
    for file in result["figures"].values():
        assert (folder / file).read_bytes().startswith(b"\x89PNG")
    assert set(result["missing"]) <= {"cost/joules_per_image"}
    kept = Predictions.load(folder / FILE)
    assert result["test_version"] == kept.test.digest
    again, calibration = program.score(kept, Drawing(folder))
    assert json.loads(json.dumps(again.to_json())) == result["evaluation"]
    assert json.loads(json.dumps(calibration.to_json())) == result["calibration"]
    groups = {name.partition("/")[0] for name in result["metrics"]}
    assert groups == {"test", "interval", "calibration", "cost"}


def test_a_figure_that_cannot_be_drawn_costs_nothing_else(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    spec, result = evaluated
    folder = tmp_path / "training"
    shutil.copytree(spec["folder"], folder)
    # A folder where the file of a figure belongs: nothing can be written there.
    (folder / "figures" / "coverage.png").unlink()
    (folder / "figures" / "coverage.png").mkdir()
    found = program.main({**spec, "folder": str(folder), "key": "two"}, lambda event: None)
    assert set(found["figures"]) == {"confusion_matrix", "reliability"}
    assert "coverage" in found["missing"] and found["missing"]["coverage"]
    assert found["evaluation"] == result["evaluation"]


def nan(state: dict[str, torch.Tensor]) -> None:
    next(iter(state.values())).fill_(float("nan"))


def other_classes(record: dict[str, Any]) -> None:
    record["classes"] = [*record["classes"][:-1], "another"]


def test_a_network_without_numbers_is_refused(evaluated: Evaluated, tmp_path: Path) -> None:
    spec, _ = evaluated
    state = load_file(Path(spec["folder"]) / "model.safetensors")
    nan(state)
    save_file(state, tmp_path / "model.safetensors")
    refused({**spec, "folder": str(tmp_path)}, "Image 0 has the probability nan for '0'")
    assert not (tmp_path / "evaluation.json").exists()


def test_a_dataset_of_other_classes_is_refused(evaluated: Evaluated, tmp_path: Path) -> None:
    spec, _ = evaluated
    record = {**spec["record"]}
    other_classes(record)
    told = {**spec, "record": record, "folder": str(tmp_path)}
    refused(told, r"the network's classes are 0, .*another, those of the dataset 0, .*9: train")


def refused(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(DataRefused, match=says) as found:
        program.main(spec, lambda event: None)
    assert found.value.exit_code == 3
    assert "\n" not in str(found.value) and str(found.value).endswith(".")


@pytest.mark.parametrize(
    ("made", "missing", "says"),
    [
        (lambda: predictions(images=1), {"intervals", "roc_auc", "classes"}, "no others to draw"),
        (lambda: predictions(images=40, classes=30), {"classes"}, "no test image of 'class"),
    ],
)
def test_what_few_images_cannot_tell_is_missing_with_the_reason(
    made: Callable[[], Predictions], missing: set[str], says: str, tmp_path: Path
) -> None:
    drawing = Drawing(tmp_path)
    evaluation, calibration = program.score(made(), drawing)
    program.draw(evaluation, calibration, "lenet5", drawing)
    assert set(drawing.missing) == missing
    assert any(says in reason for reason in drawing.missing.values())
    assert set(drawing.figures) == {"confusion_matrix", "reliability", "coverage"}
