"""Registration as a program: export the best network, register it, load it back, score it again.

The version holds the `pt2` graph that plain MLflow loads, the weights as safetensors with the
record that rebuilds them, and the sha256 of each of its files, set in the same transaction as the
version itself. Beside the challenger the champion is scored here on the same images, for the gate.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from convoy.datamodule import read_split
from convoy.errors import ConvoyError, ParityFailed
from convoy.evaluation.predictions import FILE, Predictions
from convoy.graph import ArchitectureRecord, Graph, load_graph, probabilities
from convoy.programs.entry import Emit
from convoy.registry import CHAMPION, KEY, MANIFEST, by_alias, by_key, download, file_manifest
from convoy.registry import version as registered_version

TOLERANCE = 1e-5
"""How far two forms of one network may differ in a probability."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Register `folder`'s network as a version of `name`, unless its key is there already.

    Returns the version, its test accuracy when loaded back, and where there is another champion its
    version and, image by image, which of the two was right.
    Raises `ParityFailed` where what came back from the registry scores differently.
    """
    record = ArchitectureRecord(**spec["record"])
    mlflow.set_tracking_uri(spec["tracking_uri"])
    client = MlflowClient(spec["tracking_uri"], spec["tracking_uri"])
    registered = by_key(client, spec["name"], spec["key"])
    if registered is None:
        number = _register(client, spec, record)
        registered = registered_version(client, spec["name"], number)
    images, labels = read_split(spec["files"], "test")
    kept = Predictions.load(Path(spec["folder"]) / FILE).test
    with tempfile.TemporaryDirectory() as scratch:
        there = download(registered, Path(scratch) / "challenger", spec["tracking_uri"])
        scored = _score(there, images)
        difference = float(np.abs(scored - kept.probabilities).max())
        if difference > TOLERANCE:
            raise ParityFailed(
                f"{registered.name} version {registered.version} gives probabilities up to "
                f"{difference:.2g} away from the network that was evaluated (at most {TOLERANCE} "
                f"is allowed): it was not promoted."
            )
        correct = scored.argmax(axis=1) == labels.numpy()
        result: dict[str, Any] = {
            "version": registered.version,
            "accuracy": float(correct.mean()),
            "champion": None,
            "challenger_correct": [],
            "champion_correct": [],
        }
        champion = by_alias(client, spec["name"], CHAMPION)
        if champion and champion.version != registered.version:
            files = download(champion, Path(scratch) / "champion", spec["tracking_uri"])
            result["champion"] = champion.version
            result["challenger_correct"] = correct.tolist()
            result["champion_correct"] = _champion_correct(files, images, labels, record).tolist()
        elif champion:
            result["champion"] = champion.version
    return result


def _register(client: MlflowClient, spec: dict[str, Any], record: ArchitectureRecord) -> str:
    folder = Path(spec["folder"])
    graph = load_graph(record, folder / "model.safetensors")
    record_file = folder / "architecture.json"
    record_file.write_text(record.to_json(), encoding="utf-8")
    images, _ = read_split(spec["files"], "val")
    uri = _log_model(client, spec, record, graph, images[:2].numpy(), record_file)
    with tempfile.TemporaryDirectory() as scratch:
        local = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
        manifest = json.dumps(file_manifest(Path(local)))
    try:
        client.create_registered_model(spec["name"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise ConvoyError(f"cannot create the model {spec['name']!r}: {error}") from error
    tags = {**spec["tags"], KEY: spec["key"], MANIFEST: manifest}
    created = mlflow.register_model(uri, spec["name"], tags=tags)
    return str(created.version)


def _log_model(
    client: MlflowClient,
    spec: dict[str, Any],
    record: ArchitectureRecord,
    graph: Graph,
    example: NDArray[np.uint8],
    record_file: Path,
) -> str:
    # Unnamed tensors: with a name, MLflow hands the graph a dict that it cannot take.
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, len(record.mean)))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(record.classes)))]),
    )
    weights = Path(spec["folder"]) / "model.safetensors"
    extra = [str(weights), str(record_file), *spec.get("extra_files", ())]
    ended = client.get_run(spec["run_id"]).info.end_time
    # What the machine does here is no part of the training's figures.
    with mlflow.start_run(run_id=spec["run_id"], log_system_metrics=False):
        info = mlflow.pytorch.log_model(
            graph,
            name=record.architecture,
            signature=signature,
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "mlflow", "numpy"],
            extra_files=extra,
            metadata={"classes": record.classes, **spec["tags"]},
        )
    # Opening the run again set its end to now; its duration is the training's.
    client.set_terminated(spec["run_id"], "FINISHED", ended)
    return str(info.model_uri)


def _score(files: Path, images: torch.Tensor) -> NDArray[np.float32]:
    """Return the probabilities of the `pt2` graph among a version's verified files."""
    graph = torch.export.load(files / "data" / "model.pt2").module()
    scored: NDArray[np.float32] = probabilities(graph, images).numpy()
    return scored


def _champion_correct(
    files: Path, images: torch.Tensor, labels: torch.Tensor, record: ArchitectureRecord
) -> NDArray[np.bool_]:
    """Return where the champion is right, by the classes' names: its order may be another."""
    found = next(files.rglob("architecture.json"))
    classes = json.loads(found.read_text(encoding="utf-8"))["classes"]
    predicted = _score(files, images).argmax(axis=1)
    right = [
        classes[p] == record.classes[t] for p, t in zip(predicted, labels.tolist(), strict=True)
    ]
    return np.array(right)
