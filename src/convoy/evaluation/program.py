"""Evaluation as a program: a trained network on test and val, in one pass over their images.

The probabilities are kept beside the weights (`predictions.npz`), so that every figure can be
computed again without the network. This is the only reader of the test split before the gate.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convoy.errors import DataRefused
from convoy.evaluation.cost import microseconds_per_image, multiply_adds, parameters
from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import FILE, Predictions, Scored
from convoy.evaluation.reading import open_images
from convoy.files import read_json, write_atomically, write_json
from convoy.graph import ArchitectureRecord, Graph, load_graph
from convoy.programs.entry import Emit
from convoy.splits import Split

TIMED_BATCH = 64
"""Images a batch when prediction is timed."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Evaluate the training in `folder` on the test split of `files`, as `record` describes it.

    Returns and keeps in `evaluation.json`: the evaluation, and its cost (parameters, multiply-adds
    and microseconds an image). `key` names all that decided it.
    """
    folder = Path(spec["folder"])
    kept = read_json(folder / "evaluation.json")
    if isinstance(kept, dict) and kept.get("key") == spec["key"] and _whole(folder / FILE):
        return kept
    record = ArchitectureRecord(**spec["record"])
    graph = load_graph(record, folder / "model.safetensors")
    predictions = predict(graph, spec["files"], tuple(record.classes))
    predictions.save(folder / FILE)
    # Beside the weights, so that they can be scored again when the settings are others.
    write_atomically(folder / "architecture.json", record.to_json().encode())
    test = predictions.test
    batch = open_images(spec["files"], "test").read(range(min(TIMED_BATCH, len(test))))
    with torch.inference_mode():
        microseconds = microseconds_per_image(graph, batch)
    result = {
        "key": spec["key"],
        "evaluation": evaluate(test.probabilities, test.labels, test.classes).to_json(),
        "parameters": parameters(graph.network),
        "multiply_adds": multiply_adds(graph.network, graph.preprocessing(batch[:1])),
        "microseconds_per_image": microseconds,
    }
    write_json(folder / "evaluation.json", result)
    return result


def predict(graph: Graph, files: Mapping[str, str], classes: tuple[str, ...]) -> Predictions:
    """Return what a network says of the test and val images of a dataset version."""
    return Predictions(*(_scored(graph, files, split, classes) for split in ("test", "val")))


def _scored(
    graph: Graph, files: Mapping[str, str], split: Split, classes: tuple[str, ...]
) -> Scored:
    images = open_images(files, split)
    with torch.inference_mode():
        found = torch.cat([graph(batch) for batch in images.batches()])
    return Scored(found.numpy(), images.labels, images.contents, classes)


def _whole(file: Path) -> bool:
    try:
        Predictions.load(file)
    except DataRefused:
        return False
    return True
