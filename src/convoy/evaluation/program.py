"""Evaluation as a program: a trained network on the test split, in one pass over its images.

The probabilities are kept beside the weights (`predictions.npz`), so that every figure can be
computed again without the network. This is the only reader of the test split before the gate.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convoy.datamodule import read_split
from convoy.evaluation.cost import microseconds_per_image, multiply_adds, parameters
from convoy.evaluation.metrics import evaluate
from convoy.files import read_json, write_atomically, write_json
from convoy.graph import ArchitectureRecord, load_graph, probabilities
from convoy.programs.entry import Emit

TIMED_BATCH = 64
"""Images a batch when prediction is timed."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Evaluate the training in `folder` on the test split of `files`, as `record` describes it.

    Returns and keeps in `evaluation.json`: the evaluation, and its cost (parameters, multiply-adds
    and microseconds an image). `key` names all that decided it.
    """
    folder = Path(spec["folder"])
    kept = read_json(folder / "evaluation.json")
    if isinstance(kept, dict) and kept.get("key") == spec["key"]:
        return kept
    record = ArchitectureRecord(**spec["record"])
    graph = load_graph(record, folder / "model.safetensors")
    images, labels = read_split(spec["files"], "test")
    found = probabilities(graph, images).numpy()
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=found, labels=labels.numpy())
    write_atomically(folder / "predictions.npz", buffer.getvalue())
    batch = images[:TIMED_BATCH]
    with torch.inference_mode():
        microseconds = microseconds_per_image(graph, batch)
    result = {
        "key": spec["key"],
        "evaluation": evaluate(found, labels.numpy(), record.classes).to_json(),
        "parameters": parameters(graph.network),
        "multiply_adds": multiply_adds(graph.network, graph.preprocessing(batch[:1])),
        "microseconds_per_image": microseconds,
    }
    write_json(folder / "evaluation.json", result)
    return result
