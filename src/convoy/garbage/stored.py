"""What MLflow keeps and nothing leads to: versions' files, failed and deleted runs, models of none.

The record of a version stays, and so does every finished run. On a server, whose database others
use too, runs are deleted so that they can be restored; its own `mlflow gc` ends them.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from convoy import registry, tracking
from convoy.claims import claimed
from convoy.client import Client, pages, patiently
from convoy.garbage.item import DAY, Item, files_below, is_young, newest, path_of
from convoy.garbage.reached import Reached, all_runs, is_embedded
from convoy.project import Project
from convoy.registry import COLLECTED, KEY
from convoy.settings import Settings

PARENT = "mlflow.parentRunId"
UNWELL = ("FAILED", "KILLED")


def garbage(
    client: MlflowClient, project: Project, settings: Settings, keep: Reached
) -> list[Item]:
    """Return what nothing leads to in the experiments and models of the datasets of params.yaml."""
    models = list(_logged_models(client, settings))
    runs = all_runs(client, settings)
    found = [*_versions(client, settings, keep), *_runs(client, settings, keep, runs)]
    found += _models(client, settings, models)
    if is_embedded(client):
        known = {model.model_id for model in models} | {run.info.run_id for run in runs}
        found += _lost(project, settings, known)
    return found


def _versions(client: MlflowClient, settings: Settings, keep: Reached) -> Iterator[Item]:
    """Yield versions whose files go: of the datasets' models, those that Convoy registered."""
    fed = {dataset.model for dataset in settings.datasets.values()}
    for name in sorted(fed & set(registry.names(client))):
        for version in registry.versions(client, name):
            young = is_young(version.created / 1000, settings.gc.days)
            kept = (name, version.version) in keep.versions
            if kept or young or KEY not in version.tags:
                continue
            place = client.get_model_version_download_uri(name, version.version)
            files, size = _listed(client, place)
            if files:
                why = f"it has no alias and is not among the {settings.gc.champions} that served "
                why += "last; its record stays"
                yield Item("version", f"{name}/{version.version}", files, size, why, (place,))


def _runs(
    client: MlflowClient, settings: Settings, keep: Reached, runs: list[Run]
) -> Iterator[Item]:
    registered = {
        version.run_id
        for name in registry.names(client)
        for version in registry.versions(client, name)
    }
    here = is_embedded(client)
    deleted = _long_deleted(client, settings.gc.days) if here else set()
    finished = {run.info.run_id for run in runs if tracking.is_finished(run)}
    parents = {run.data.tags.get(PARENT) for run in runs if tracking.is_finished(run)}
    for run in runs:
        info, run_id = run.info, str(run.info.run_id)
        if run_id in keep.runs | registered or run_id in parents:
            continue
        ended = (info.end_time or info.start_time) / 1000
        if info.lifecycle_stage == "deleted":
            if run_id not in deleted:
                continue
            why = "it was deleted in MLflow"
        else:
            # What became of a sweep's trials is part of what came of the sweep.
            of_whole = run.data.tags.get(PARENT) in finished
            if info.status not in UNWELL or of_whole or is_young(ended, settings.gc.days):
                continue
            why = f"it ended as {info.status}, and nothing goes on with it"
        files, size = _listed(client, info.artifact_uri) if here else (0, 0)
        if not here:
            why += "; its files go with the server's `mlflow gc`"
        yield Item("run", run_id, files, size, why, (str(info.artifact_uri),))


def _models(client: MlflowClient, settings: Settings, models: list[LoggedModel]) -> Iterator[Item]:
    """Yield models that a registration left before there was a version, or of deleted versions."""
    of_versions = {
        str(version.model_id or version.source).removeprefix("models:/")
        for name in registry.names(client)
        for version in registry.all_of(client, name)
    }
    for model in models:
        young = is_young(model.creation_timestamp / 1000, settings.gc.days)
        if KEY in model.tags and not young and model.model_id not in of_versions:
            files, size = _listed(client, model.artifact_location)
            why = "no registered version has it"
            yield Item("model", model.model_id, files, size, why, (model.artifact_location,))


def _lost(project: Project, settings: Settings, known: set[str]) -> Iterator[Item]:
    """Yield folders of runs and models that MLflow has no more: a removal was cut off."""
    for dataset in settings.datasets:
        root = project.state / "artifacts" / dataset
        for folder in sorted([*root.glob("*"), *root.glob("models/*")]):
            ours = folder.is_dir() and re.fullmatch(r"(m-)?[0-9a-f]{32}", folder.name)
            if not ours or folder.name in known or is_young(newest(folder), settings.gc.days):
                continue
            files, size = files_below(folder)
            if files:
                why = "MLflow knows no such run or model any more"
                name = folder.relative_to(project.state).as_posix()
                yield Item("files", name, files, size, why, (folder.as_uri(),))


def remove(client: MlflowClient, item: Item) -> bool:
    """Remove one thing. Return whether it was still there, and still what nothing leads to."""
    try:
        return _remove(client, item)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False  # somebody else removed it meanwhile


def _remove(client: MlflowClient, item: Item) -> bool:
    match item.kind:
        case "version":
            if not _mark(client, item.name):
                return False
        case "model":
            client.delete_logged_model(item.name)
        case "run":
            if client.get_run(item.name).info.lifecycle_stage == "active":
                client.delete_run(item.name)
            if not is_embedded(client):
                return True
            # MLflow's `gc` does this, but for all that was ever deleted beside what it is told.
            # The record goes first: files without one are found, one without files would lie.
            client._tracking_client.store._hard_delete_run(item.name)
    for place in item.places:
        repository, patience = _repository(client, place), _patience(client)
        patiently(repository.delete_artifacts, client.tracking_uri, patience)
        if place.startswith("file:"):
            _leave_no_folder(path_of(place))
    return True


def _mark(client: MlflowClient, name: str) -> bool:
    """Say of a version that its files are gone, unless it has come to be somebody's meanwhile.

    Nothing is promoted at the same time, and no promotion of it comes after.
    """
    model, number = name.rsplit("/", 1)
    with claimed(client, model):
        version = registry.version(client, model, number)
        if version.aliases:
            return False
        today = datetime.now(UTC).date().isoformat()
        client.set_model_version_tag(model, number, COLLECTED, version.tags.get(COLLECTED, today))
    return True


def _leave_no_folder(folder: Path) -> None:
    """Remove the folder of a run or model that held its artifacts, where it is empty now."""
    if folder.name == "artifacts" and folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def _listed(client: MlflowClient, place: str) -> tuple[int, int]:
    """Return how many files there are at an address, and their bytes."""
    if place.startswith("file:"):
        return files_below(path_of(place))
    repository, waiting, sizes = _repository(client, place), [""], []
    while waiting:
        path = waiting.pop()
        for found in repository.list_artifacts(path or None):
            if found.is_dir:
                waiting.append(found.path)
            else:
                sizes.append(found.file_size or 0)
    return len(sizes), sum(sizes)


def _repository(client: MlflowClient, place: str) -> ArtifactRepository:
    return get_artifact_repository(place, tracking_uri=client.tracking_uri)


def _patience(client: MlflowClient) -> float:
    return client.patience if isinstance(client, Client) and not is_embedded(client) else 0.0


def _long_deleted(client: MlflowClient, days: float) -> set[str]:
    """Return the runs that were deleted long ago, which MLflow tells its own `gc` alone."""
    store = client._tracking_client.store
    return set(store._get_deleted_runs(older_than=int(days * DAY * 1000)))


def _logged_models(client: MlflowClient, settings: Settings) -> Iterator[LoggedModel]:
    named = (client.get_experiment_by_name(dataset) for dataset in settings.datasets)
    experiments = [str(found.experiment_id) for found in named if found]
    if experiments:
        yield from pages(lambda token: client.search_logged_models(experiments, page_token=token))
