"""A checkout's data folders and dvc.lock: one command at a time, nobody's edits overwritten.

DVC fails at once where another DVC is at work, so a lock of ours lets them wait.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convoy import digests
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import write_atomically
from convoy.progress import Step, report
from convoy.project import Project
from convoy.versions.program import listing, mend, recorded_hash, stages, stages_of

_MARK = "ingesting-"


@contextmanager
def exclusive(project: Project) -> Iterator[None]:
    """Keep other commands of ours from DVC; wait for the one that is at work, and say so.

    Raises `ConvoyError` where the disk is full or may not be written to.
    """
    lock = FileLock(project.state / "dvc.lock")
    owner = project.state / "dvc.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        process = "unknown"
        with suppress(FileNotFoundError):  # that one may end just now
            process = owner.read_text()
        report(Step("ingest", "running", f"waits for the ingestion of process {process}"))
        lock.acquire()
    try:
        owner.write_text(str(os.getpid()))
        _settle(project)
        yield
    except OSError as error:
        raise ConvoyError(
            f"cannot go on in {error.filename or project.state} ({error.strerror}): free some "
            f"space or give this user the right to write there; the next run finishes the work."
        ) from error
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def writing(project: Project, dataset: str) -> Iterator[None]:
    """Leave a mark while DVC writes a dataset's folders and dvc.lock, and after it was cut off.

    The mark holds what dvc.lock was: DVC writes it in place.
    """
    mark = _mark(project, dataset)
    write_atomically(mark, project.lock.read_bytes() if project.lock.exists() else b"")
    try:
        yield
    except ConvoyError:
        # What DVC wrote but did not come to record is no edit of a person's.
        with suppress(NotReproducible):
            _compare(project, dataset)
            # Raw files that were refused are no part of a version.
            _put_back(project, mark.read_bytes())
            mark.unlink()
        raise
    mark.unlink()


def settle(project: Project) -> None:
    """Have dvc.lock be whole where an ingest of ours was killed while DVC wrote it.

    For those who read it without keeping others out: one that is written just now is waited for.
    """
    if any(_torn_under(project)):
        with exclusive(project):
            pass


def _settle(project: Project) -> None:
    """Put back a dvc.lock that DVC was killed over. Nobody else may be at work."""
    for mark in _torn_under(project):
        _put_back(project, mark.read_bytes())


def _torn_under(project: Project) -> Iterator[Path]:
    """Yield the marks of ingests under which dvc.lock is torn."""
    for mark in project.state.glob(f"{_MARK}*"):
        with suppress(FileNotFoundError):  # that ingest may end just now
            if _is_torn(project, mark.read_bytes(), mark.name.removeprefix(_MARK)):
                yield mark


def _put_back(project: Project, lock: bytes) -> None:
    if lock:
        write_atomically(project.lock, lock)
    else:
        project.lock.unlink(missing_ok=True)


def _is_torn(project: Project, before: bytes, dataset: str) -> bool:
    """Tell whether dvc.lock is a part of what DVC was to write over `before` for a dataset.

    Between two lines too, where it is valid YAML, but lacks stages or the hash of one. A commit's
    own lock is whole, whatever it lacks; so is one that has another version of another dataset.
    """
    try:
        text = project.lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        return bool(before)
    except ValueError:
        return True
    try:
        held, former = stages(text), stages(before.decode()) if before else {}
    except NotReproducible:
        return True
    own = {*stages_of(dataset)}
    # A person's own stage may make nothing.
    hashed = {stage for stage in held if stage in own or _hashes(former.get(stage))}
    cut_off = {stage for stage in hashed if not _hashes(held[stage])}
    if not (cut_off or former.keys() - held.keys()) or text == project.committed("dvc.lock"):
        return False
    others = hashed - own - cut_off
    return all(_hashes(held[stage]) == _hashes(former[stage]) for stage in others)


def _hashes(stage: Any) -> list[str]:
    """Return the hashes of what a stage made; empty where it does not say them all."""
    outs = stage.get("outs") if isinstance(stage, dict) else None
    found = [out.get("md5") for out in outs or () if isinstance(out, dict)]
    return found if all(found) else []


def check(project: Project, dataset: str) -> None:
    """Refuse prepared files that are not those that dvc.lock records.

    Preparing again would overwrite them, and nobody could say afterwards what they were. A folder
    that is missing is no such state, nor is one that an ingest of ours was writing when it ended:
    it is made again.
    """
    if not _mark(project, dataset).exists():
        _compare(project, dataset)


def _compare(project: Project, dataset: str) -> None:
    version = recorded_hash(project, dataset)
    folder = project.prepared(dataset)
    if version is None or not folder.is_dir():
        return
    if listing(project, version) is None:
        mend(project, dataset, version)
    if (listed := listing(project, version)) is None:
        raise NotReproducible(
            f"{folder} cannot be compared with dvc.lock ({version} is neither in DVC's cache nor "
            f"in the remote): delete the folder to prepare it again."
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


def _mark(project: Project, dataset: str) -> Path:
    return project.state / f"{_MARK}{dataset}"
