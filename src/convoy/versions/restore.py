"""Going back to a version: dvc.lock, the data folders and params.yaml together."""

import shutil

import yaml

from convoy import params
from convoy.errors import NotReproducible, UsageError
from convoy.files import write_atomically
from convoy.project import Project
from convoy.versions import Version, journal, stored
from convoy.versions.program import broken, dvc, hash_in, mend, recorded, stages_of
from convoy.versions.workspace import exclusive, writing


def restore(project: Project, dataset: str, wanted: str) -> Version:
    """Bring back a version, and keep the dataset at it (`version` in params.yaml).

    Nothing changes where it cannot be had: dvc.lock and params.yaml are put back.
    """
    with exclusive(project):
        entry = journal.find(project, dataset, wanted)
        recorded(project, dataset)  # refuses a lock that is torn
        written = (project.lock, project.params)
        before = [path.read_bytes() if path.exists() else b"" for path in written]
        with writing(project, dataset):
            try:
                params.set_value(
                    project.params, dataset, "version", entry.hash.removesuffix(".dir")
                )
                _record(project, before[0], entry)
                _check_out(project, dataset, entry)
            except BaseException:
                for path, content in zip(written, before, strict=True):
                    if content:
                        write_atomically(path, content)
                    else:
                        path.unlink(missing_ok=True)
                raise
        return stored(project, dataset, entry.hash)


def _record(project: Project, before: bytes, entry: journal.Entry) -> None:
    lock = yaml.load(before, Loader=yaml.CSafeLoader) or {"schema": "2.0", "stages": {}}
    lock["stages"].update(entry.stages)
    write_atomically(project.lock, yaml.safe_dump(lock, sort_keys=False).encode())


def _check_out(project: Project, dataset: str, entry: journal.Entry) -> None:
    for kind in ("fetch", "prepare"):
        version = hash_in(entry.stages, dataset, kind)
        if version and (damaged := mend(project, dataset, version, kind)):
            raise NotReproducible(
                f"{dataset} {entry.hash}: {damaged[0]} is neither in DVC's cache nor in the "
                f"remote: push it from where it was made (`convoy data push {dataset}`)."
            )
    dvc(project, "checkout", "--force", *(s for s in stages_of(dataset) if s in entry.stages))
    prepared = project.prepared(dataset)
    for kind in ("draft", "former"):  # which an ingest that was killed may have left
        left = prepared.with_name(f".{prepared.name}.{kind}")
        shutil.rmtree(left, ignore_errors=True)


def bring(project: Project, place: Project, dataset: str, wanted: str) -> Version:
    """Bring a version's bytes into the cache, and change nothing of the checkout.

    DVC works in `place`, another checkout of the same repository, whose dvc.lock is written over.
    Raises `NotReproducible` where its bytes are neither here nor in the remote.
    """
    with exclusive(project):
        if broken(project, wanted):
            for name in ("dvc-cache", "dvc-remote"):
                (project.state / name).mkdir(exist_ok=True)
                link = place.state / name
                if not link.exists():
                    link.symlink_to(project.state / name)
            private = project.root / ".dvc" / "config.local"  # where credentials of remotes are
            if private.is_file():
                shutil.copy(private, place.root / ".dvc" / "config.local")
            _record_there(project, place, dataset, wanted)
            if damaged := mend(place, dataset, wanted):
                raise NotReproducible(
                    f"{dataset} {wanted}: {damaged[0].name} is neither in DVC's cache nor in the "
                    f"remote: push it from where it was made (`convoy data push {dataset}`)."
                )
        return stored(project, dataset, wanted)


def _record_there(project: Project, place: Project, dataset: str, wanted: str) -> None:
    """Have the dvc.lock of `place` record a version, unless its commit does."""
    if journal.version_at(project, dataset, place.commit()[0]) == wanted:
        return
    try:
        entry = journal.find(project, dataset, wanted.removesuffix(".dir"))
    except UsageError:
        raise NotReproducible(
            f"version {wanted} of {dataset!r} is recorded by no commit and no journal here: it was "
            f"made elsewhere, or never committed."
        ) from None
    before = place.lock.read_bytes() if place.lock.exists() else b""
    _record(place, before, entry)


def release(project: Project, dataset: str) -> bool:
    """Let a dataset follow its source again. Return whether it was kept at a version."""
    return params.remove_value(project.params, dataset, "version")
