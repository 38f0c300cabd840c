"""Registered models: versions, aliases and the files of a version, verified before they load."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convoy import digests, environment
from convoy.claims import is_fence
from convoy.client import pages, patiently
from convoy.errors import NotReproducible, UsageError, nearest
from convoy.files import read_json

READY = "READY"
CHAMPION = "champion"
CHALLENGER = "challenger"
KEY = "convoy.key"
MANIFEST = "convoy.manifest"
MANIFEST_FILE = "manifest.json"
"""Among a version's files: the sha256 of the others, and whose they are."""
VERDICT = "convoy.verdict"
COLLECTED = "convoy.collected"
"""When `convoy gc` took a version's files; its record stays, and its key is free again."""
LONGEST_DESCRIPTION = 5000
"""Characters that MLflow's databases hold."""
APPROVAL = "convoy.approval"
"""What a person said of a version that the gate had allowed; "waiting" until then."""


@dataclass(frozen=True)
class Registered:
    """One version of a registered model."""

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    created: int
    """Milliseconds since 1970."""
    tags: dict[str, str]
    ready: bool = True
    """Whether MLflow has it as a whole; one that is still being written is not."""

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.tags.get(VERDICT, "{}"))
        return found


def names(client: MlflowClient) -> list[str]:
    """Return the names of all registered models, those aside that are fences of ours."""
    found = pages(lambda token: client.search_registered_models(page_token=token))
    return [model.name for model in found if not is_fence(model.name)]


def versions(client: MlflowClient, name: str) -> list[Registered]:
    """Return a model's versions, newest first. Raises `UsageError` for an unknown name."""
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        known = names(client)
        mend = nearest(name, known) if known else "run `convoy run` to register the first one."
        raise UsageError(f"unknown registered model {name!r}: {mend}") from None
    found = all_of(client, name)
    by_version: dict[str, list[str]] = {}
    for alias, version in aliases.items():
        by_version.setdefault(str(version), []).append(alias)
    return sorted(
        (_registered(found_one, by_version) for found_one in found),
        key=lambda registered: -int(registered.version),
    )


def all_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return a model's versions as MLflow has them, all its pages."""
    asked = f"name='{name}'"
    return [*pages(lambda token: client.search_model_versions(asked, page_token=token))]


def version(client: MlflowClient, name: str, wanted: str) -> Registered:
    """Return one version by its number or alias. Raises `UsageError` where there is none."""
    try:
        if wanted.isdecimal():
            found = client.get_model_version(name, wanted)
        else:
            found = client.get_model_version_by_alias(name, wanted)
    except MlflowException:  # which of them is unknown, all that there are will tell
        pass
    else:
        return _registered(found, {str(found.version): list(found.aliases)})
    known = versions(client, name)
    there = [r.version for r in known] + [alias for r in known for alias in r.aliases]
    raise UsageError(f"{name} has no version or alias {wanted!r}: {nearest(wanted, there)}")


def describe(client: MlflowClient, name: str, number: str, text: str) -> None:
    """Give a version its description (Markdown), unless it has one: a person's stays."""
    if not client.get_model_version(name, number).description:
        client.update_model_version(name, number, text[:LONGEST_DESCRIPTION])


def by_alias(client: MlflowClient, name: str, alias: str) -> Registered | None:
    """Return the version behind an alias, if the model and the alias exist."""
    try:
        found = client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None
    return _registered(found, {str(found.version): [alias]})


def by_key(client: MlflowClient, name: str, key: str) -> Registered | None:
    """Return the first version of an idempotency key that has its files, if there is one."""
    found = client.search_model_versions(f"name='{name}' and tags.`{KEY}`='{key}'")
    whole = (v for v in found if COLLECTED not in v.tags)
    registered = sorted((_registered(v, {}) for v in whole), key=lambda r: int(r.version))
    return registered[0] if registered else None


def of_run(client: MlflowClient, run_id: str) -> Registered | None:
    """Return the newest version that a run's network was registered as, if there is one."""
    found = client.search_model_versions(f"run_id='{run_id}'")
    registered = sorted((_registered(v, {}) for v in found), key=lambda r: r.created)
    return registered[-1] if registered else None


def require_files(registered: Registered) -> None:
    """Raise `NotReproducible` for a version whose files have been collected."""
    if when := registered.tags.get(COLLECTED):
        raise NotReproducible(
            f"the files of {registered.name} version {registered.version} are gone: `convoy gc` "
            f"collected them on {when}; train it again from commit "
            f"{registered.tags.get('convoy.commit', 'unknown')[:12]} to have them again."
        )


def _registered(found: ModelVersion, aliases: dict[str, list[str]]) -> Registered:
    return Registered(
        name=found.name,
        version=str(found.version),
        aliases=tuple(sorted(aliases.get(str(found.version), []))),
        run_id=found.run_id or "",
        created=int(found.creation_timestamp),
        tags=dict(found.tags),
        ready=found.status == READY,
    )


def file_manifest(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a model's folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # MLflow writes this one when the version is created, after the manifest was taken.
    kept = [path for path in files if path.name != "registered_model_meta"]
    return {path.relative_to(folder).as_posix(): digests.file(path) for path in kept}


def download(registered: Registered, folder: Path, tracking_uri: str) -> Path:
    """Bring a version's files into `folder` and verify them before anybody loads one.

    Raises `NotReproducible` for files that are not those that were registered, and `Unanswered`
    where a server is away.
    """
    require_files(registered)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    uri = f"models:/{registered.name}/{registered.version}"
    where = f"{registered.name} version {registered.version}"
    if not registered.ready:
        raise NotReproducible(
            f"{where} is still being written, or its writer was cut off: wait for it, or run again."
        )
    patience = environment.patience() if tracking_uri.startswith("http") else 0.0

    def bring() -> str:
        found = download_artifacts(
            artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri
        )
        return str(found)

    try:
        local = Path(patiently(bring, tracking_uri, patience))
    except (MlflowException, OSError) as error:
        raise NotReproducible(
            f"the files of {where} cannot be read ({error}): restore them from a backup, or "
            f"`convoy rollback {registered.name}`."
        ) from None
    if wrong := _wrong(registered, local):
        raise NotReproducible(
            f"{where}: {wrong}; nothing was loaded. Restore it from a backup, or `convoy rollback "
            f"{registered.name}`."
        )
    return local


def logged_metrics(client: MlflowClient, registered: Registered) -> dict[str, float]:
    """Return the metrics of the run that made a version; none where the run is gone."""
    try:
        return dict(client.get_run(registered.run_id).data.metrics)
    except MlflowException:
        return {}


def verify(registered: Registered, tracking_uri: str) -> None:
    """Verify a version's files as `download` does, and keep none of them."""
    with tempfile.TemporaryDirectory() as scratch:
        download(registered, Path(scratch) / "model", tracking_uri)


def _wrong(registered: Registered, local: Path) -> str | None:
    """Return what is wrong with a version's files; None where they are those of its manifest."""
    expected = json.loads(registered.tags.get(MANIFEST, "{}"))
    found = file_manifest(local)
    if not expected:
        return f"it has no manifest (the tag {MANIFEST}), so nobody can tell its files"
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            if name not in found:
                return f"{name} is missing"
            if name not in expected:
                return f"{name} is one too many: it was not registered"
            return f"{name} is not the file that was registered"
    # Files and manifest may both be another version's, put in this one's place.
    whose = read_json(local / MANIFEST_FILE) if MANIFEST_FILE in expected else None
    own = {"run_id": registered.run_id, "key": registered.tags.get(KEY)}
    if whose is not None and {name: whose.get(name) for name in own} != own:
        return f"{MANIFEST_FILE} is another version's, of the run {whose.get('run_id')}"
    return None
