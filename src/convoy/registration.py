"""Registration as a program: export the best network, prove it, register it, and gather evidence.

A version is created with its tags, the manifest among them, in one transaction, and only after its
files are in place. `docs/adr/0026-a-registered-version.md` says what those are and why. Beside the
challenger the champion is scored here on the same images, for the gate.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from torch import Tensor

from convoy import model_folder, seen_images, store
from convoy.client import Client
from convoy.datamodule import read_split
from convoy.errors import ConvoyError
from convoy.evaluation.contest import Contestant, collect
from convoy.evaluation.evidence import Evidence
from convoy.evaluation.parity import require_parity
from convoy.evaluation.predictions import FILE, Predictions
from convoy.graph import EXTRA, load_exported, probabilities
from convoy.programs.entry import Emit
from convoy.registry import CHAMPION, KEY, MANIFEST, Registered, by_alias, by_key, download
from convoy.registry import version as registered_version


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Register `folder`'s network as a version of `name`, unless its key is there already.

    Returns the version, the champion's, and the evidence for the gate, on `files`' test split.
    Raises `ParityFailed` where an exported form of the network answers otherwise than it did when
    it was evaluated; no version is then created.
    """
    # Creating a version looks up its model by the address that all of MLflow has.
    mlflow.set_tracking_uri(spec["tracking_uri"])
    client = Client(spec["tracking_uri"])
    kept = Predictions.load(Path(spec["folder"]) / FILE).test.probabilities
    with tempfile.TemporaryDirectory() as scratch:
        registered = by_key(client, spec["name"], spec["key"])
        if registered is None:
            registered = _register(client, spec, Path(scratch), kept)
        images, labels = read_split(spec["files"], "test")
        challenger = _contestant(client, registered, Path(scratch) / "challenger", images)
        where = f"{registered.name} version {registered.version}"
        require_parity(where, challenger.probabilities, kept)
        champion = by_alias(client, spec["name"], CHAMPION)
        evidence = None
        if champion is None or champion.version != registered.version:
            other = Path(scratch) / "champion"
            evidence = _evidence(client, spec, images, labels, challenger, champion, other)
    return {
        "version": registered.version,
        "champion": champion.version if champion else None,
        "evidence": evidence.to_json() if evidence else None,
    }


def _evidence(
    client: MlflowClient,
    spec: dict[str, Any],
    images: Tensor,
    labels: Tensor,
    challenger: Contestant,
    champion: Registered | None,
    folder: Path,
) -> Evidence:
    dataset_version, alpha = spec["tags"]["convoy.dataset_version"], spec["alpha"]
    if champion is None:
        return collect(dataset_version, images, labels, alpha, challenger)
    files = download(champion, folder, client.tracking_uri)
    takes = _record(files)["channels"]
    if takes != spec["record"]["channels"]:
        reason = (
            f"champion version {champion.version} takes {takes} images and the test split holds "
            f"{spec['record']['channels']}: only a person can say which of the two should serve"
        )
        return collect(dataset_version, images, labels, alpha, challenger, incomparable=reason)
    same = champion.tags.get("convoy.dataset_version") == dataset_version
    seen = np.zeros(len(labels), np.bool_)  # within one version no image is in two splits
    found = None if same else seen_images.seen(_beside(files, seen_images.NAME), spec["files"])
    return collect(
        dataset_version,
        images,
        labels,
        alpha,
        challenger,
        _loaded(champion, files, images),
        seen if same else found,
    )


def _contestant(
    client: MlflowClient, registered: Registered, folder: Path, images: Tensor
) -> Contestant:
    return _loaded(registered, download(registered, folder, client.tracking_uri), images)


def _loaded(registered: Registered, files: Path, images: Tensor) -> Contestant:
    graph = load_exported(files)
    scored: NDArray[np.float32] = probabilities(graph, images).numpy()
    return Contestant(registered.version, graph, _record(files)["classes"], scored)


def _record(files: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(_beside(files, "architecture.json").read_bytes())
    return record


def _beside(files: Path, name: str) -> Path:
    return files / EXTRA / name


def _register(
    client: MlflowClient, spec: dict[str, Any], scratch: Path, expected: NDArray[np.float32]
) -> Registered:
    folder = scratch / "model"
    model_folder.write(folder, spec, expected)
    experiment = client.get_run(spec["run_id"]).info.experiment_id
    architecture, tags = spec["record"]["architecture"], {**spec["tags"], KEY: spec["key"]}
    logged = store.logged_model(client, experiment, architecture, spec["run_id"], tags)
    try:
        manifest = model_folder.seal(folder, logged, spec["run_id"], spec["key"])
        client.log_model_artifacts(logged.model_id, str(folder))
    except (OSError, MlflowException) as error:
        client.finalize_logged_model(logged.model_id, "FAILED")
        client.delete_logged_model(logged.model_id)
        raise ConvoyError(
            f"the files of the model could not be kept in {logged.artifact_location} ({error}): "
            f"nothing was registered; make room, or see why, and run again."
        ) from error
    client.finalize_logged_model(logged.model_id, "READY")
    store.output(client, spec["run_id"], logged.model_id)
    created = store.model_version(
        client,
        spec["name"],
        spec["key"],
        f"models:/{logged.model_id}",
        spec["run_id"],
        {**spec["tags"], MANIFEST: json.dumps(manifest)},
        logged.model_id,
    )
    return registered_version(client, spec["name"], str(created.version))
