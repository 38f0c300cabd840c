"""`convoy verify`: whether a registered version still is what was registered, and scores as it did.

Its files are held to their sha256; then its graph answers the test split of the dataset version
that it was judged on, and the metrics are held to those that its run logged.
"""

from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from convoy import registry, versions
from convoy.datamodule import read_split
from convoy.errors import NotReproducible, ParityFailed
from convoy.evaluation.metrics import evaluate
from convoy.files import read_json
from convoy.graph import EXTRA, load_exported, probabilities
from convoy.project import Project
from convoy.registry import Registered
from convoy.versions.program import broken

CHECKED = {"test/accuracy": 1e-9, "test/negative_log_likelihood": 1e-5}
"""The metrics that are held to the logged ones, and by how much another processor may differ."""


@dataclass(frozen=True)
class Verified:
    """What was found to be as it was."""

    name: str
    version: str
    files: int
    dataset_version: str
    images: int
    metrics: dict[str, float]


def verify(client: MlflowClient, project: Project, chosen: Registered) -> Verified:
    """Verify a version, its files downloaded into the project's state.

    Raises `NotReproducible` for files that are not those that were registered, or where the images
    or the logged metrics are gone; `ParityFailed` for other scores.
    """
    folder = project.state / "models" / f"{chosen.name}-{chosen.version}"
    there = registry.download(chosen, folder, client.tracking_uri)
    where = f"{chosen.name} version {chosen.version}"
    logged = registry.logged_metrics(client, chosen)
    if missing := CHECKED.keys() - logged.keys():
        raise NotReproducible(
            f"the files of {where} are whole, but its run {chosen.run_id} has no metric "
            f"{min(missing)} to compare with: see it in the MLflow UI."
        )
    dataset, version = chosen.tags["convoy.dataset"], chosen.tags["convoy.dataset_version"]
    found = versions.stored(project, dataset, version)
    if damaged := broken(project, version):
        raise NotReproducible(
            f"the files of {where} are whole, but {damaged[0]} of {dataset} version {version} is "
            f"missing or damaged: bring it with `convoy data restore {dataset} {version}`."
        )
    images, labels = read_split(found.files, "test")
    record = read_json(there / EXTRA / "architecture.json") or {}
    answers = probabilities(load_exported(there), images).numpy()
    scored = evaluate(answers, labels.numpy(), record["classes"])
    metrics = {name: scored.metrics("test")[name] for name in CHECKED}
    for name, tolerance in CHECKED.items():
        if not abs(metrics[name] - logged[name]) <= tolerance:
            raise ParityFailed(
                f"{where}: {name} is {metrics[name]:.6f} on {len(labels)} images of {dataset} "
                f"version {version}, but its run logged {logged[name]:.6f}: do not serve it; "
                f"`convoy rollback {chosen.name}` brings back the champion before."
            )
    count = sum(1 for path in Path(there).rglob("*") if path.is_file())
    return Verified(chosen.name, chosen.version, count, version, len(labels), metrics)
