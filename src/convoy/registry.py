"""Registered models: versions, aliases and the files of a version, verified before they load."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convoy import digests
from convoy.claims import is_fence
from convoy.errors import NotReproducible, UsageError, nearest

CHAMPION = "champion"
CHALLENGER = "challenger"
KEY = "convoy.key"
MANIFEST = "convoy.manifest"
VERDICT = "convoy.verdict"
LONGEST_DESCRIPTION = 5000
"""Characters that MLflow's databases hold."""


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

    @property
    def verdict(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.tags.get(VERDICT, "{}"))
        return found


def names(client: MlflowClient) -> list[str]:
    """Return the names of all registered models, those aside that are fences of ours."""
    found: list[str] = []
    token = None
    while True:
        page = client.search_registered_models(page_token=token)
        found += [model.name for model in page if not is_fence(model.name)]
        if not (token := page.token):
            return found


def versions(client: MlflowClient, name: str) -> list[Registered]:
    """Return a model's versions, newest first. Raises `UsageError` for an unknown name."""
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        known = names(client)
        mend = nearest(name, known) if known else "run `convoy run` to register the first one."
        raise UsageError(f"unknown registered model {name!r}: {mend}") from None
    found = client.search_model_versions(f"name='{name}'")
    by_version: dict[str, list[str]] = {}
    for alias, version in aliases.items():
        by_version.setdefault(str(version), []).append(alias)
    return sorted(
        (_registered(found_one, by_version) for found_one in found),
        key=lambda registered: -int(registered.version),
    )


def version(client: MlflowClient, name: str, wanted: str) -> Registered:
    """Return one version by its number or alias. Raises `UsageError` where there is none."""
    known = versions(client, name)
    for registered in known:
        if wanted == registered.version or wanted in registered.aliases:
            return registered
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
    """Return the first version of an idempotency key, if there is one."""
    found = client.search_model_versions(f"name='{name}' and tags.`{KEY}`='{key}'")
    registered = sorted((_registered(v, {}) for v in found), key=lambda r: int(r.version))
    return registered[0] if registered else None


def of_run(client: MlflowClient, run_id: str) -> Registered | None:
    """Return the newest version that a run's network was registered as, if there is one."""
    found = client.search_model_versions(f"run_id='{run_id}'")
    registered = sorted((_registered(v, {}) for v in found), key=lambda r: r.created)
    return registered[-1] if registered else None


def _registered(found: ModelVersion, aliases: dict[str, list[str]]) -> Registered:
    return Registered(
        name=found.name,
        version=str(found.version),
        aliases=tuple(sorted(aliases.get(str(found.version), []))),
        run_id=found.run_id or "",
        created=int(found.creation_timestamp),
        tags=dict(found.tags),
    )


def file_manifest(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a model's folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # MLflow writes this one when the version is created, after the manifest was taken.
    kept = [path for path in files if path.name != "registered_model_meta"]
    return {path.relative_to(folder).as_posix(): digests.file(path) for path in kept}


def download(registered: Registered, folder: Path, tracking_uri: str) -> Path:
    """Bring a version's files into `folder` and verify them before anybody loads one.

    Raises `NotReproducible` for files that are not those that were registered.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    uri = f"models:/{registered.name}/{registered.version}"
    where = f"{registered.name} version {registered.version}"
    try:
        local = Path(
            download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri)
        )
    except (MlflowException, OSError) as error:
        raise NotReproducible(
            f"the files of {where} cannot be read ({error}): restore them from a backup, or "
            f"`convoy rollback {registered.name}`."
        ) from None
    expected = json.loads(registered.tags.get(MANIFEST, "{}"))
    found = file_manifest(local)
    if not expected or found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        name = wrong[0][0] if wrong else MANIFEST
        raise NotReproducible(
            f"{where}: {name} is not the file that was registered; nothing was loaded. Restore it "
            f"from a backup, or `convoy rollback {registered.name}`."
        )
    return local
