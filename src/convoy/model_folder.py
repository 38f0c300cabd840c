"""The folder of a registered version: made and proved on this disk before MLflow sees a file of it.

It holds what plain MLflow loads (`MLmodel`, the `pt2` graph, an input example), the weights as
safetensors with the record that rebuilds them, which images the training saw, and `manifest.json`,
written last: the sha256 of every file, and whose they are. Nothing in it is a pickle.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import torch
from mlflow.entities import LoggedModel
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from convoy import onnx_form, seen_images
from convoy.datamodule import read_split
from convoy.errors import ConvoyError
from convoy.evaluation.parity import require_parity
from convoy.files import write_json
from convoy.graph import EXTRA, ArchitectureRecord, Graph, load_exported, load_graph, probabilities
from convoy.registry import MANIFEST_FILE, file_manifest

ROOM = 2**20
"""Bytes of free space below which a failed write is the disk's fault."""


def write(folder: Path, spec: dict[str, Any], expected: NDArray[np.float32]) -> None:
    """Write everything but the manifest; `expected` are the network's answers on the test split.

    Raises `ParityFailed` where a form of the network answers otherwise, and `ConvoyError` where the
    disk is full; what is in `folder` is then of no use.
    """
    record = ArchitectureRecord(**spec["record"])
    trained = Path(spec["folder"])
    with _room(folder):
        scratch = folder.with_name(f"{folder.name}.extra")
        scratch.mkdir()
        shutil.copy(trained / "model.safetensors", scratch)
        (scratch / "architecture.json").write_text(record.to_json(), encoding="utf-8")
        seen_images.write(scratch / seen_images.NAME, spec["files"])
        graph = load_graph(record, trained / "model.safetensors")
        example, _ = read_split(spec["files"], "val")
        if spec.get("onnx"):
            onnx_form.export(graph, example[:2], scratch / onnx_form.NAME)
        extra = [*sorted(scratch.iterdir()), *map(Path, spec.get("extra_files", ()))]
        _save(folder, graph, record, spec, example[:2].numpy(), extra)
    images, _ = read_split(spec["files"], "test")
    architecture = record.architecture
    answers = probabilities(load_exported(folder), images).numpy()
    require_parity(f"the exported graph of {architecture}", answers, expected)
    if spec.get("onnx"):
        found = onnx_form.score(folder / EXTRA / onnx_form.NAME, images)
        require_parity(f"the ONNX form of {architecture}", found, expected)


def seal(folder: Path, logged: LoggedModel, run_id: str, key: str) -> dict[str, str]:
    """Say in `MLmodel` where MLflow has it, then write the manifest. Return each file's sha256."""
    model = Model.load(str(folder / "MLmodel"))
    model.model_id = logged.model_id
    model.model_uuid = logged.model_id
    model.artifact_path = logged.artifact_location
    model.run_id = run_id
    with _room(folder):
        model.save(str(folder / "MLmodel"))
        whose = {"model_id": logged.model_id, "run_id": run_id, "key": key}
        write_json(folder / MANIFEST_FILE, {**whose, "files": file_manifest(folder)})
        return file_manifest(folder)


def _save(
    folder: Path,
    graph: Graph,
    record: ArchitectureRecord,
    spec: dict[str, Any],
    example: NDArray[np.uint8],
    extra: list[Path],
) -> None:
    # Unnamed tensors: with a name, MLflow hands the graph a dict that it cannot take.
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, len(record.mean)))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(record.classes)))]),
    )
    mlflow.pytorch.save_model(
        graph,
        str(folder),
        signature=signature,
        input_example=example,
        pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "mlflow", "numpy"],
        extra_files=[str(path) for path in extra],
        metadata={"classes": record.classes, **spec["tags"], **spec.get("metadata", {})},
        serialization_format="pt2",
    )


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Tell a full disk in one sentence; PyTorch's writer says only that it could not write."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or shutil.disk_usage(folder.parent).free < ROOM:
            raise ConvoyError(
                f"the disk of {folder.parent} is full: the model was not exported and nothing was "
                f"registered; make room and run again."
            ) from error
        raise
