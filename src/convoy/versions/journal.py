"""The versions that a dataset has had here: what Git's history of dvc.lock and a journal say.

The journal (.convoy/versions/<dataset>.jsonl) remembers those that nobody has committed.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from convoy.errors import NotReproducible, UsageError, nearest
from convoy.files import read_json
from convoy.project import Project
from convoy.versions.program import hash_in, listing, object_at, stages_in


@dataclass
class Entry:
    """A version of a dataset."""

    hash: str
    date: str
    """When it was made, or else committed: ISO 8601."""
    digest: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Images by split and class; empty where its manifest is not here."""
    commit: str = ""
    """The first commit that has it; empty where none has."""
    tags: list[str] = field(default_factory=list)
    stages: dict[str, Any] = field(default_factory=dict)
    """Its entries of dvc.lock."""


def write(project: Project, dataset: str, manifest: dict[str, Any], stages: dict[str, Any]) -> None:
    """Remember the present version, unless it is the last one that was remembered."""
    version = hash_in(stages, dataset)
    known = _read(project, dataset)
    if known and known[-1]["hash"] == version:
        return
    path = _path(project, dataset)
    path.parent.mkdir(exist_ok=True)
    entry = {
        "hash": version,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "digest": manifest["digest"],
        "counts": manifest["counts"],
        "stages": stages,
    }
    # What was cut off has no line end.
    lead = "" if not path.exists() or path.read_bytes().endswith(b"\n") else "\n"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{lead}{json.dumps(entry)}\n")


def versions(project: Project, dataset: str) -> list[Entry]:
    """Return the versions of a dataset, the newest last."""
    found: dict[str, Entry] = {}
    for known in _read(project, dataset):
        found.setdefault(known["hash"], Entry(**known))
    for commit, date, stages in _committed(project, dataset):
        version = hash_in(stages, dataset)
        if version:
            entry = found.setdefault(version, Entry(version, date, stages=stages))
            entry.commit = entry.commit or commit
    for tag in project.tags():
        version = version_at(project, dataset, f"refs/tags/{tag}")
        if version in found:
            found[version].tags.append(tag)
    for entry in found.values():
        if not entry.digest and (manifest := _manifest(project, entry.hash)):
            entry.digest, entry.counts = manifest["digest"], manifest["counts"]
    return sorted(found.values(), key=lambda entry: datetime.fromisoformat(entry.date))


def recorded_ever(project: Project, dataset: str) -> list[dict[str, Any]]:
    """Return what dvc.lock has held of a dataset's stages, as the journal and commits have it."""
    remembered = [known["stages"] for known in _read(project, dataset) if "stages" in known]
    return remembered + [stages for _, _, stages in _committed(project, dataset)]


def find(project: Project, dataset: str, wanted: str) -> Entry:
    """Return the version that a hash or digest (or its beginning), a tag or a commit names.

    Raises `UsageError` for none, or several.
    """
    known = versions(project, dataset)
    at = version_at(project, dataset, wanted) if wanted else None
    found = [
        entry
        for entry in known
        if wanted
        and (entry.hash == at or entry.hash.startswith(wanted) or entry.digest.startswith(wanted))
    ]
    exact = [entry for entry in found if wanted in (entry.hash.removesuffix(".dir"), *entry.tags)]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        names = ", ".join(entry.hash[:12] for entry in found)
        raise UsageError(f"{wanted!r} is the beginning of several versions ({names}): write more.")
    shown = [entry.hash[:12] for entry in known]
    raise UsageError(f"unknown version {wanted!r} of {dataset!r}: {nearest(wanted, shown)}")


def _committed(project: Project, dataset: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return commit, date and stages for each commit that changed dvc.lock, the oldest first."""
    found = []
    for commit, date in project.commits("dvc.lock"):
        try:
            stages = stages_in(project.committed("dvc.lock", commit), dataset)
        except NotReproducible:
            continue  # a commit that deleted it, or had it torn
        found.append((commit, date, stages))
    return found


def version_at(project: Project, dataset: str, revision: str) -> str | None:
    """Return the version that a commit or tag has; None where it has none that can be read."""
    try:
        return hash_in(stages_in(project.committed("dvc.lock", revision), dataset), dataset)
    except NotReproducible:
        return None


def _manifest(project: Project, version: str) -> dict[str, Any] | None:
    for entry in listing(project, version) or []:
        if entry["relpath"] == "manifest.json":
            found = read_json(object_at(project, entry["md5"]))
            return found if isinstance(found, dict) and "digest" in found else None
    return None


def _read(project: Project, dataset: str) -> list[dict[str, Any]]:
    """Return the journal's entries; a last line that was cut off is none."""
    try:
        lines = _path(project, dataset).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _path(project: Project, dataset: str) -> Path:
    return project.state / "versions" / f"{dataset}.jsonl"
