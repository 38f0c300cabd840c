"""The evaluation program on a network fresh from its initialisation and 400 small digits."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from convoy.architectures import build
from convoy.datamodule import read_split
from convoy.evaluation import program
from convoy.evaluation.predictions import FILE, Predictions
from convoy.graph import ArchitectureRecord, load_graph, probabilities

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
