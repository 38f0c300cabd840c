"""Scoring again on 400 small digits: a training's network, and the graph that MLflow serves."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from convoy.architectures import build
from convoy.errors import DataRefused
from convoy.evaluation import program, rescoring
from convoy.evaluation.predictions import FILE, Predictions
from convoy.graph import ArchitectureRecord, load_graph


@pytest.fixture(scope="module")
def trained(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder after its evaluation."""
    folder = tmp_path_factory.mktemp("training")
    manifest = json.loads(Path(tiny["manifest.json"]).read_bytes())
    torch.manual_seed(0)
    network = build("mlp", num_classes=10, in_channels=1, image_size=8, options={})
    save_file(network.state_dict(), folder / "model.safetensors")
    names = ("classes", "channels", "image_size", "mean", "std")
    record = ArchitectureRecord("mlp", *(manifest[name] for name in names))
    spec = {"folder": str(folder), "record": asdict(record), "files": tiny, "key": "one"}
    program.main(spec, lambda event: None)
    return folder


def record_in(folder: Path) -> ArchitectureRecord:
    return ArchitectureRecord(**json.loads((folder / "architecture.json").read_text()))


def again(files: dict[str, str], folder: Path, **network: str) -> dict[str, Any]:
    """What scoring one network gives; how it names it goes to `emit`."""
    told: list[dict[str, Any]] = []
    spec = {
        "networks": [{"run_id": "a" * 32, "source": "a source", **network}],
        "files": files,
        "folder": str(folder),
    }
    found = rescoring.main(spec, told.append)
    assert told == [{"event": "network", "source": "a source"}]
    one: dict[str, Any] = found["a" * 32]
    return one


def test_a_trainings_network_says_what_it_said_in_its_evaluation(
    trained: Path, tiny: dict[str, str], tmp_path: Path
) -> None:
    kept = Predictions.load(trained / FILE).test
    found = again(tiny, tmp_path, trained=str(trained))
    assert found["digest"] == kept.digest and tuple(found["classes"]) == kept.classes
    assert np.array_equal(np.load(found["correct"], allow_pickle=False), kept.correct)
    metrics = found["metrics"]
    assert metrics["test/accuracy"] == pytest.approx(kept.correct.mean())
    assert metrics["interval/macro_f1_low"] <= metrics["test/macro_f1"]


def test_the_registered_graph_says_the_same(
    trained: Path, tiny: dict[str, str], tmp_path: Path
) -> None:
    record = record_in(trained)
    graph = load_graph(record, trained / "model.safetensors")
    images = torch.zeros(2, 8, 8, 1, dtype=torch.uint8)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(graph, (images,), dynamic_shapes=({0: batch},))
    (tmp_path / "data").mkdir()
    torch.export.save(exported, tmp_path / "data" / "model.pt2")
    (tmp_path / "extra_files").mkdir()
    (tmp_path / "extra_files" / "architecture.json").write_text(record.to_json())
    found = again(tiny, tmp_path, registered=str(tmp_path))
    correct = Predictions.load(trained / FILE).test.correct
    assert np.array_equal(np.load(found["correct"], allow_pickle=False), correct)


def changed(trained: Path, folder: Path, **values: Any) -> Path:
    """The same network with another record, its last layer's rows in the record's order."""
    before = record_in(trained)
    record = replace(before, **values)
    state = load_file(trained / "model.safetensors")
    if len(record.classes) == len(before.classes):
        rows = [before.classes.index(name) for name in record.classes if name in before.classes]
        last = [name for name, value in state.items() if value.shape[0] == 10]
        state = {k: v[rows].contiguous() if k in last else v for k, v in state.items()}
    save_file(state, folder / "model.safetensors")
    (folder / "architecture.json").write_text(record.to_json())
    return folder


def test_another_order_of_the_classes_changes_nothing(
    trained: Path, tiny: dict[str, str], tmp_path: Path
) -> None:
    turned = changed(trained, tmp_path, classes=record_in(trained).classes[::-1])
    found = again(tiny, tmp_path, trained=str(turned))
    kept = Predictions.load(trained / FILE).test
    assert found["digest"] == kept.digest
    assert np.array_equal(np.load(found["correct"], allow_pickle=False), kept.correct)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"classes": [*"123456789", "ten"]},
            r"run aaaaaaaa \(a source\) tells 10 classes apart and the dataset has 10, with '0' in",
        ),
        ({"channels": "rgb"}, "was trained on rgb images and the dataset has gray ones"),
    ],
)
def test_a_network_for_other_images_is_refused(
    trained: Path, tiny: dict[str, str], tmp_path: Path, values: dict[str, Any], says: str
) -> None:
    folder = tmp_path
    (folder / "architecture.json").write_text(replace(record_in(trained), **values).to_json())
    (folder / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    with pytest.raises(DataRefused, match=says):
        again(tiny, tmp_path, trained=str(folder))
