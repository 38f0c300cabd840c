"""What nothing reaches any more: objects in DVC's cache, leftovers in MLflow, training folders.

Reached is whatever an alias, a Git tag, the tip of a branch, the checkout or one of the last
champions leads to: the version, its run, its data and its training's folder; also the last
pipeline's trainings and whatever still runs. DVC's remote is never touched, and registered versions
stay: they are the history.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convoy import registry, tracking
from convoy.errors import ConvoyError, NotReproducible
from convoy.journal import journal
from convoy.project import Project
from convoy.settings import Settings
from convoy.versions.journal import version_at
from convoy.versions.program import hash_in, listing, object_at, recorded, stages_in

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FAILED = ("FAILED", "KILLED")
ACTIVE, ALL = 1, 3
"""MLflow's `ViewType`s: without and with runs that were deleted."""


@dataclass(frozen=True)
class Item:
    """One thing that nothing reaches."""

    kind: str
    """`cache`, `run`, `model` or `training`."""
    name: str
    size: int
    """Bytes on this machine; 0 where they lie elsewhere."""
    why: str


@dataclass(frozen=True)
class Reached:
    """What is kept."""

    runs: frozenset[str]
    data: frozenset[str]
    """DVC hashes, of what came in and of what was prepared."""
    folders: frozenset[str]
    """Names below .convoy/runs."""


def reached(client: "MlflowClient", project: Project, settings: Settings) -> Reached:
    """Return what an alias, a tag, a branch or one of the last champions leads to."""
    versions = [v for name in registry.names(client) for v in registry.versions(client, name)]
    kept = [v for v in versions if v.aliases or v.version in _champions(client, v.name, settings)]
    runs = {version.run_id for version in kept}
    all_runs = _runs(client, ACTIVE)
    for experiment in {run.info.experiment_id for run in all_runs}:
        if last := tracking.latest_pipeline(client, experiment):
            runs |= {last.info.run_id, *last.data.tags[tracking.TRAININGS].split(",")}
    runs |= {run.info.run_id for run in all_runs if run.info.status == "RUNNING"}
    data = {version.tags.get(tracking.VERSION, "") for version in kept}
    for dataset in settings.datasets:
        data |= _recorded(project, dataset, data)
    keys = {r.info.run_id: r.data.tags.get(tracking.KEY, "")[:32] for r in all_runs}
    folders = {keys.get(run, "") for run in runs}
    return Reached(frozenset(runs), frozenset(data - {""}), frozenset(folders - {""}))


def _champions(client: "MlflowClient", name: str, settings: Settings) -> list[str | None]:
    """Return the versions that served last, as many as the settings say."""
    done = [e.version for e in reversed(journal(client, name)) if e.state == "done"]
    return list(dict.fromkeys(done))[: settings.gc.champions]


def _recorded(project: Project, dataset: str, kept: set[str]) -> set[str]:
    """Return the hashes of a dataset that the checkout, branches and tags record.

    Of the versions in `kept` also what came in, which they were prepared from.
    """
    found: set[str | None] = set()
    with_stages = [recorded(project, dataset)]
    for tip in project.tips():
        try:
            with_stages.append(stages_in(project.committed("dvc.lock", tip), dataset))
        except NotReproducible:
            continue  # one from before there was any data
    for commit, _ in project.commits("dvc.lock"):
        if version_at(project, dataset, commit) in kept:
            with_stages.append(stages_in(project.committed("dvc.lock", commit), dataset))
    for stages in with_stages:
        found |= {hash_in(stages, dataset, kind) for kind in ("fetch", "prepare")}
    return {one for one in found if one}


def garbage(client: "MlflowClient", project: Project, settings: Settings) -> list[Item]:
    """Return what nothing reaches. Raises `ConvoyError` where that cannot be known."""
    keep = reached(client, project, settings)
    runs = _runs(client, ALL)
    return [
        *_cache(project, keep),
        *_leftover_runs(client, project, runs, keep),
        *_leftover_models(client, runs),
        *_trainings(project, keep),
    ]


def collect(client: "MlflowClient", project: Project, items: Iterable[Item]) -> None:
    """Remove what `garbage` found; nobody else may be at work in this project."""
    deleted: list[str] = []
    for item in items:
        match item.kind:
            case "cache":
                (_objects(project) / item.name).unlink(missing_ok=True)
            case "training":
                shutil.rmtree(project.runs / item.name)
            case "model":
                client.delete_logged_model(item.name)
            case "run":
                if client.get_run(item.name).info.lifecycle_stage == "active":
                    client.delete_run(item.name)
                deleted.append(item.name)
    if deleted and client.tracking_uri.startswith("sqlite:"):
        _delete_for_good(client.tracking_uri, deleted)


def _delete_for_good(uri: str, runs: list[str]) -> None:
    """Remove deleted runs with their files; on a server that is its administrator's to do."""
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
    done = subprocess.run(
        [*command, "--run-ids", ",".join(runs)],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise ConvoyError(
            f"`mlflow gc` failed ({lines[-1]}): the runs are deleted, their files not."
        )


def _objects(project: Project) -> Path:
    return project.state / "dvc-cache" / "files" / "md5"


def _cache(project: Project, keep: Reached) -> list[Item]:
    folder = _objects(project)
    kept: set[Path] = set()
    for version in keep.data:
        place = object_at(project, version)
        kept.add(place)
        listed = listing(project, version) if version.endswith(".dir") else []
        if listed is None and place.exists():
            raise ConvoyError(
                f"{place} in DVC's cache is damaged, so what it lists cannot be told from garbage: "
                f"delete it and bring it again with `convoy data pull`."
            )
        kept |= {object_at(project, entry["md5"]) for entry in listed or []}
    files = (path for path in sorted(folder.glob("*/*")) if path.is_file() and path not in kept)
    why = "no kept dataset version has it"
    return [
        Item("cache", path.relative_to(folder).as_posix(), path.stat().st_size, why)
        for path in files
    ]


def _leftover_runs(
    client: "MlflowClient", project: Project, runs: list["Run"], keep: Reached
) -> list[Item]:
    registered = {
        version.run_id
        for name in registry.names(client)
        for version in registry.versions(client, name)
    }
    parents = {
        run.data.tags.get("mlflow.parentRunId", "") for run in runs if run.info.status == "FINISHED"
    }
    found = []
    for run in runs:
        run_id = run.info.run_id
        if run_id in keep.runs or run_id in registered:
            continue
        if run.info.lifecycle_stage == "deleted":
            found.append(Item("run", run_id, _size(run.info.artifact_uri), "it was deleted"))
        elif run.info.status in FAILED and run_id not in parents:
            why = f"it ended as {run.info.status}"
            found.append(Item("run", run_id, _size(run.info.artifact_uri), why))
    return found


def _leftover_models(client: "MlflowClient", runs: list["Run"]) -> list[Item]:
    """Return models of runs whose files were never whole."""
    experiments = sorted({run.info.experiment_id for run in runs})
    if not experiments:
        return []
    models = client.search_logged_models(experiments)
    return [
        Item("model", model.model_id, 0, f"its writing ended as {model.status}")
        for model in models
        if str(model.status) != "READY"
    ]


def _trainings(project: Project, keep: Reached) -> list[Item]:
    folders = (path for path in sorted(project.runs.glob("*")) if path.is_dir())
    return [
        Item("training", path.name, _size(path.as_uri()), "no kept run was trained in it")
        for path in folders
        if path.name not in keep.folders
    ]


def _runs(client: "MlflowClient", view: int) -> list["Run"]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    found: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, run_view_type=view, page_token=token)
        found += page
        if not (token := page.token):
            break
    return found


def _size(uri: str) -> int:
    """Return the bytes below a folder of this machine; 0 for one elsewhere."""
    if not uri.startswith("file:"):
        return 0
    folder = Path(uri.removeprefix("file://"))
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
