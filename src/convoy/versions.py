"""Dataset versions: the only door to DVC.

A version is the DVC hash of data/prepared/<dataset>. DVC runs as a program of its own, one at a
time in a checkout: it fails at once where another DVC is at work, so a lock of ours lets them wait.

DVC takes an altered cache object or a torn file for good, so every object is hashed again here
before training reads it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from convoy import digests
from convoy.errors import ConvoyError, DataRefused, NotReproducible
from convoy.files import read_json
from convoy.project import Project

PATIENCE = 30.0
"""Seconds that another DVC in the same checkout is waited for."""


@dataclass(frozen=True)
class Version:
    """One immutable state of a dataset."""

    dataset: str
    hash: str
    files: dict[str, str]
    """Each file's path inside the dataset to its immutable bytes in DVC's cache."""

    @property
    def manifest(self) -> dict[str, Any]:
        """What ingestion says of this version: classes, channels, counts, mean and deviation."""
        found = read_json(Path(self.files["manifest.json"]))
        if not isinstance(found, dict):
            raise NotReproducible(f"{self.dataset} {self.hash} has no readable manifest.json.")
        return found


def ingest(project: Project, dataset: str) -> Version:
    """Bring `dataset` up to date with its source and params.yaml, and push it to the remote.

    Raises `NotReproducible` where the prepared files are not those that dvc.lock records, and
    whatever the stages refuse.
    """
    with _exclusive(project):
        check(project, dataset)
        marker = _at_work(project, dataset)
        marker.touch()
        try:
            _dvc(project, "repro", f"prepare@{dataset}")
        except ConvoyError:
            marker.unlink()  # DVC ended by itself: it was not cut off
            raise
        marker.unlink()
        version = _version(project, dataset)
        _dvc(project, "push", f"prepare@{dataset}", f"fetch@{dataset}")
        return version


def current(project: Project, dataset: str) -> Version:
    """Return the version that dvc.lock records, with its bytes verified.

    Raises `NotReproducible` where there is none, or its bytes are neither here nor in the remote.
    """
    with _exclusive(project):
        return _version(project, dataset)


def recorded(project: Project, dataset: str) -> dict[str, Any]:
    """Return what dvc.lock holds of a dataset's stages; empty before the first ingest.

    Raises `NotReproducible` for a dvc.lock that cannot be read.
    """
    mend = "restore it with `git checkout dvc.lock`, or delete it to record the data anew"
    try:
        lock = yaml.load(project.lock.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, ValueError):  # PyYAML raises the latter for a date like 2020-13-45
        raise NotReproducible(f"{project.lock} is not valid YAML: {mend}.") from None
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise NotReproducible(f"{project.lock} has no stages: {mend}.")
    stages = (f"fetch@{dataset}", f"prepare@{dataset}")
    return {stage: lock["stages"][stage] for stage in stages if stage in lock["stages"]}


def check(project: Project, dataset: str) -> None:
    """Refuse prepared files that are not those that dvc.lock records.

    Preparing again would overwrite them, and nobody could say afterwards what they were. A folder
    that is missing is no such state, nor is one that an ingest of ours was writing when it ended:
    it is made again.
    """
    version = _recorded_hash(project, dataset)
    folder = project.prepared(dataset)
    if version is None or not folder.is_dir() or _at_work(project, dataset).exists():
        return
    if (listed := _listing(project, version)) is None:
        raise NotReproducible(
            f"{folder} cannot be compared with dvc.lock ({version} is not in DVC's cache): run "
            f"`dvc pull prepare@{dataset}`, or delete the folder to prepare it again."
        )
    expected = {entry["relpath"]: entry["md5"] for entry in listed}
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {p.relative_to(folder).as_posix(): digests.file(p, "md5") for p in files}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise NotReproducible(
                f"{folder / name} is not what dvc.lock records: run `dvc checkout --force "
                f"prepare@{dataset}` to restore it, or delete {folder} to prepare it again."
            )


def fingerprint(project: Project, dataset: str) -> list[tuple[str, int, int]]:
    """Return path, size and time of each file of a dataset: cheap to take, changed by any write."""
    found = []
    for folder in (project.raw(dataset), project.prepared(dataset)):
        for path in sorted(folder.rglob("*")):
            stat = path.stat()
            if path.is_file():
                name = path.relative_to(project.root).as_posix()
                found.append((name, stat.st_size, stat.st_mtime_ns))
    return found


def _at_work(project: Project, dataset: str) -> Path:
    """A file that lies there while DVC's stages write, and after they were cut off."""
    return project.state / f"ingesting-{dataset}"


def _recorded_hash(project: Project, dataset: str) -> str | None:
    stage = recorded(project, dataset).get(f"prepare@{dataset}")
    try:
        return str(stage["outs"][0]["md5"]) if stage else None
    except (KeyError, IndexError, TypeError):
        raise NotReproducible(
            f"{project.lock}: prepare@{dataset} records no output; restore the file with "
            f"`git checkout dvc.lock`."
        ) from None


def _version(project: Project, dataset: str) -> Version:
    version = _recorded_hash(project, dataset)
    if version is None:
        raise NotReproducible(
            f"{project.lock} records no version of {dataset!r}: run `convoy run` or `dvc repro`."
        )
    broken = _broken(project, version)
    if broken:
        for damaged in broken:
            damaged.unlink(missing_ok=True)
        with suppress(ConvoyError):  # said below, by the object's name
            _dvc(project, "fetch", f"prepare@{dataset}")
        if still := _broken(project, version):
            raise NotReproducible(
                f"{dataset} {version}: {still[0]} is missing or damaged in DVC's cache, and the "
                f"remote has no whole copy; delete {project.prepared(dataset)} and run again to "
                f"prepare it from the raw images."
            )
    listing = _listing(project, version) or []
    files = {entry["relpath"]: str(_object(project, entry["md5"])) for entry in listing}
    return Version(dataset, version, files)


def _broken(project: Project, version: str) -> list[Path]:
    """Return the cache objects of a version that are missing or not what their name says."""
    listing = _listing(project, version)
    if listing is None:
        return [_object(project, version)]
    objects = ((_object(project, entry["md5"]), entry["md5"]) for entry in listing)
    return [p for p, md5 in objects if not p.is_file() or digests.file(p, "md5") != md5]


def _listing(project: Project, version: str) -> list[dict[str, str]] | None:
    """Return a version's files (md5, relpath); None where the listing is missing or damaged."""
    path = _object(project, version)
    if not path.is_file() or digests.file(path, "md5") != version.removesuffix(".dir"):
        return None
    listing: list[dict[str, str]] = read_json(path) or []
    return listing


def _object(project: Project, md5: str) -> Path:
    return project.state / "dvc-cache" / "files" / "md5" / md5[:2] / md5[2:]


@contextmanager
def _exclusive(project: Project) -> Iterator[None]:
    with FileLock(project.state / "dvc.lock"):
        yield


def _dvc(project: Project, *arguments: str) -> str:
    """Run a DVC command; raise what a stage refused, or DVC's own words."""
    # The stages' `python` is the one that runs Convoy, whether or not its environment is active.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=project.root,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        # By a person's own DVC, or by one that was killed and is not quite gone.
        blocked = "being blocked by" in done.stderr or "acquire lock" in done.stderr
        if not blocked or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("convoy: "):
            raise DataRefused(line.removeprefix("convoy: "))
    said = "; ".join(line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR"))
    raise ConvoyError(f"`dvc {' '.join(arguments)}` failed: {said or lines[-1:]}")
