"""Scoring again as a program: networks of other days on the present test split, side by side.

A registered model is scored by the very graph that serves. Whoever asks has verified the files.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convoy.errors import DataRefused
from convoy.evaluation.intervals import bootstrap
from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import Scored
from convoy.evaluation.reading import SplitImages, open_images
from convoy.files import read_json
from convoy.graph import ArchitectureRecord, load_graph, of_batches
from convoy.programs.entry import Emit


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Score each of `networks` on test of `files`; keep which images it is right about in `folder`.

    A network has a `run_id`, a `source` in words, and a folder of files: `registered` for a
    version's, `trained` for a training's. Returns by run: classes, digest, metrics, and the file
    of `correct` (N,). Raises `DataRefused` for one that was made for other classes or colours.
    """
    images = open_images(spec["files"], "test")
    manifest = read_json(Path(spec["files"]["manifest.json"]))
    assert manifest is not None  # `open_images` has read it
    found = {}
    for network in spec["networks"]:
        emit({"event": "network", "source": network["source"]})
        files = Path(network.get("registered") or network["trained"])
        record = json.loads(next(files.rglob("architecture.json")).read_text(encoding="utf-8"))
        _refuse_unlike(network, record, manifest)
        graph = _load(files, record, "registered" in network)
        scored = _score(graph, record["classes"], images, manifest["classes"])
        file = Path(spec["folder"]) / f"{network['run_id']}.npy"
        np.save(file, scored.correct, allow_pickle=False)
        found[network["run_id"]] = {
            "classes": list(scored.classes),
            "digest": scored.digest,
            "metrics": evaluate(
                scored.probabilities, scored.labels, scored.classes, bootstrap(scored)
            ).metrics("test"),
            "correct": str(file),
        }
    return found


def _load(files: Path, record: dict[str, Any], registered: bool) -> nn.Module:
    """Return a network with all its preprocessing."""
    if registered:
        return torch.export.load(files / "data" / "model.pt2").module()
    return load_graph(ArchitectureRecord(**record), files / "model.safetensors")


def _refuse_unlike(network: dict[str, str], record: dict[str, Any], now: dict[str, Any]) -> None:
    run = f"run {network['run_id'][:8]} ({network['source']})"
    if only := sorted(set(record["classes"]) ^ set(now["classes"])):
        raise DataRefused(
            f"{run} tells {len(record['classes'])} classes apart and the dataset has "
            f"{len(now['classes'])}, with {only[0]!r} in one of them alone: it cannot be scored."
        )
    if record["channels"] != now["channels"]:
        raise DataRefused(
            f"{run} was trained on {record['channels']} images and the dataset has "
            f"{now['channels']} ones: it cannot be scored."
        )


def _score(
    graph: nn.Module, theirs: Sequence[str], images: SplitImages, classes: Sequence[str]
) -> Scored:
    # In the dataset's order of classes, which may have been another when the network was trained.
    order = [theirs.index(name) for name in classes]
    found = of_batches(graph, images.batches(), len(images))[:, order]
    return Scored(found.numpy(), images.labels, images.contents, tuple(classes))
