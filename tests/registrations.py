"""Registered versions for tests: real ones, of networks fresh from their initialisation."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from convoy import store
from convoy.evaluation import program as evaluation
from convoy.project import Project
from convoy.registration import main as register
from tests.stores import new_store

Spec = dict[str, Any]


def registered_once(
    root: Path,
    files: dict[str, str],
    factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
) -> tuple[Project, MlflowClient, Spec]:
    """Return a project at `root` whose store holds version 1 of `digits`, with its ONNX form."""
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    root.mkdir(exist_ok=True)
    project, client = new_store(root, factory, patch)
    spec = trained(project, client, files, 0)
    register(spec, lambda event: None)
    return project, client, spec


def trained(project: Project, client: MlflowClient, files: dict[str, str], seed: int) -> Spec:
    """Return what registers a network that a seed made, evaluated on the test split of `files`."""
    import torch
    from safetensors.torch import save_file

    from convoy.architectures import build

    manifest = json.loads(Path(files["manifest.json"]).read_bytes())
    names = ("classes", "channels", "image_size", "mean", "std")
    record = {"architecture": "mlp", **{name: manifest[name] for name in names}}
    torch.manual_seed(seed)
    network = build(
        "mlp",
        num_classes=len(record["classes"]),
        in_channels=len(record["mean"]),
        image_size=record["image_size"],
    )
    folder = project.runs / f"training {seed}"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    scored = {"folder": str(folder), "record": record, "files": files, "key": str(seed)}
    evaluation.main(scored, lambda event: None)
    experiment = store.experiment(client, project, "digits")
    return {
        "name": "digits",
        "key": f"key {seed}",
        "run_id": client.create_run(experiment).info.run_id,
        "folder": str(folder),
        "record": record,
        "files": files,
        "tracking_uri": client.tracking_uri,
        "tags": {
            "convoy.architecture": "mlp",
            "convoy.dataset": "digits",
            "convoy.dataset_version": "tiny",
        },
        "alpha": 0.05,
        "onnx": True,
    }
