"""Dataset versions: the only door to DVC.

A version is the DVC hash of data/prepared/<dataset>: those very bytes. Its digest follows from its
images, labels and splits alone, so it is the same however they came in and lie on the disk.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convoy import architectures
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import read_json, write_json
from convoy.ingestion.fetch import is_stale
from convoy.progress import Step, report
from convoy.project import Project
from convoy.settings import Dataset, load
from convoy.versions import journal
from convoy.versions.program import (
    dvc,
    hash_in,
    listing,
    mend,
    object_at,
    recorded,
    recorded_hash,
    stages_of,
)
from convoy.versions.workspace import check, exclusive, fingerprint, settle, writing

__all__ = ["UNCOMMITTED", "Version", "check", "current", "exclusive", "fingerprint", "ingest"]
__all__ += ["pull", "push", "recorded", "recorded_hash", "settle", "stored", "uncommitted"]

UNCOMMITTED = "its dvc.lock entry is not committed: `git commit dvc.lock params.yaml`"


@dataclass(frozen=True)
class Version:
    """One immutable state of a dataset."""

    dataset: str
    hash: str
    files: dict[str, str]
    """Each file's path inside the dataset to its immutable bytes in DVC's cache."""
    flags: tuple[str, ...] = ()
    """Why this state could not be had again elsewhere, or is not the newest; empty if all is well.
    """

    @property
    def manifest(self) -> dict[str, Any]:
        """What ingestion says of this version: classes, channels, counts, mean and deviation."""
        found = read_json(Path(self.files.get("manifest.json", "")))
        if not isinstance(found, dict) or "digest" not in found:
            raise NotReproducible(
                f"{self.dataset} {self.hash} has no manifest.json of this release: delete "
                f"data/prepared/{self.dataset} and run again to prepare it anew."
            )
        return found

    @property
    def digest(self) -> str:
        """What a training sees of it."""
        return str(self.manifest["digest"])


def ingest(project: Project, dataset: str) -> Version:
    """Bring `dataset` up to date with its source and params.yaml, and push it to the remote.

    A dataset whose `version` is set in params.yaml stays at that. Raises `NotReproducible` where
    the prepared files are not those that dvc.lock records, and whatever the stages refuse.
    """
    settings = load(project.params, architectures.names()).dataset(dataset)
    with exclusive(project):
        if settings.version:
            return _pinned(project, dataset, settings.version)
        check(project, dataset)
        flags = _repro(project, dataset, settings)
        version = _version(project, dataset)
        journal.write(project, dataset, version.manifest, recorded(project, dataset))
        flags += _push(project, dataset)
        return _flagged(project, version, flags)


def _pinned(project: Project, dataset: str, wanted: str) -> Version:
    version = _version(project, dataset)
    if not (version.hash.startswith(wanted) or version.digest.startswith(wanted)):
        raise NotReproducible(
            f"params.yaml keeps {dataset!r} at version {wanted}, but dvc.lock records "
            f"{version.hash}: run `convoy data restore {dataset} {wanted}`, or delete that line."
        )
    return _flagged(project, version, _push(project, dataset))


def _repro(project: Project, dataset: str, settings: Dataset) -> list[str]:
    """Run the stages. Return why what came of it may not be the newest."""
    fetch, prepare = stages_of(dataset)
    flags = []
    brought = project.memory(dataset) / "recorded.json"
    raw = hash_in(recorded(project, dataset), dataset, "fetch")
    try:
        # After `restore`, say, the origins are as they were, but not what came in.
        stale = is_stale(settings, project.origins(settings.origins), project.memory(dataset)) or (
            bool(settings.origins) and read_json(brought) != raw
        )
    except ConvoyError as error:
        if not project.raw(dataset).is_dir():
            raise
        report(Step("ingest", "running", f"{error} Going on with what came in before."))
        flags.append(f"its source was not reached ({error})")
        stale = False
    version = recorded_hash(project, dataset)
    with writing(project, dataset):
        if version and not project.prepared(dataset).is_dir():
            mend(project, dataset, version)
            with suppress(ConvoyError):  # then it is made again from nothing
                dvc(project, "checkout", "--force", prepare)
        if stale:
            dvc(project, "repro", "--force", "--single-item", fetch)
        dvc(project, "repro", prepare)
    if not flags:
        brought.parent.mkdir(parents=True, exist_ok=True)
        write_json(brought, hash_in(recorded(project, dataset), dataset, "fetch"))
    return flags


def _push(project: Project, dataset: str) -> list[str]:
    try:
        dvc(project, "push", *stages_of(dataset))
    except ConvoyError as error:
        return [f"it is not in the remote ({error})"]
    return []


def _flagged(project: Project, version: Version, flags: list[str]) -> Version:
    flags = [*flags, *uncommitted(project, version.dataset)]
    return Version(version.dataset, version.hash, version.files, tuple(flags))


def uncommitted(project: Project, dataset: str) -> list[str]:
    """Return the flag of a version that the checked-out commit does not have; empty if it does."""
    committed = journal.version_at(project, dataset, "HEAD")
    return [] if committed == recorded_hash(project, dataset) else [UNCOMMITTED]


def pull(project: Project, dataset: str) -> Version:
    """Bring the version that dvc.lock records, and its raw files, from the remote."""
    with exclusive(project):
        version = _whole(project, dataset)
        with writing(project, dataset):
            dvc(project, "checkout", "--force", *stages_of(dataset))
        return _flagged(project, version, [])


def push(project: Project, dataset: str) -> Version:
    """Bring the version that dvc.lock records, and its raw files, to the remote."""
    with exclusive(project):
        version = _whole(project, dataset)
        dvc(project, "push", *stages_of(dataset))
        return _flagged(project, version, [])


def current(project: Project, dataset: str) -> Version:
    """Return the version that dvc.lock records, with its bytes verified.

    Raises `NotReproducible` where there is none, or its bytes are neither here nor in the remote.
    """
    with exclusive(project):
        return _version(project, dataset)


def _whole(project: Project, dataset: str) -> Version:
    """Return the version that dvc.lock records, with its bytes and its raw files' verified."""
    version = _version(project, dataset)
    raw = hash_in(recorded(project, dataset), dataset, "fetch")
    if raw and (damaged := mend(project, dataset, raw, "fetch")):
        raise NotReproducible(
            f"the raw files of {dataset} {version.hash}: {damaged[0]} is missing or damaged in "
            f"DVC's cache, and the remote has no whole copy; delete {project.raw(dataset)} and run "
            f"`convoy data check {dataset}` to bring them from their source."
        )
    return version


def _version(project: Project, dataset: str) -> Version:
    version = recorded_hash(project, dataset)
    if version is None:
        raise NotReproducible(
            f"{project.lock} records no version of {dataset!r}: run `convoy data check {dataset}`."
        )
    if damaged := mend(project, dataset, version):
        raise NotReproducible(
            f"{dataset} {version}: {damaged[0]} is missing or damaged in DVC's cache, and the "
            f"remote has no whole copy; delete {project.prepared(dataset)} and run again to "
            f"prepare it from the raw images."
        )
    return stored(project, dataset, version)


def stored(project: Project, dataset: str, version: str) -> Version:
    """Return a version by its hash, whose listing must be in DVC's cache."""
    listed = listing(project, version)
    if listed is None:
        raise NotReproducible(
            f"version {version} of {dataset!r} is not in DVC's cache: bring it with `convoy data "
            f"restore {dataset} {version}`."
        )
    files = {entry["relpath"]: str(object_at(project, entry["md5"])) for entry in listed}
    return Version(dataset, version, files)
