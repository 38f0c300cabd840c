"""Objects of DVC's cache that belong to no kept version of a dataset. The remote has its own."""

from collections.abc import Iterator
from pathlib import Path

from convoy.errors import ConvoyError
from convoy.garbage.item import Item, is_young
from convoy.garbage.reached import Reached
from convoy.progress import Step, report
from convoy.project import Project
from convoy.settings import Settings
from convoy.versions import journal
from convoy.versions.program import hash_in, listing, object_at

WHY = "no branch, tag, checkout, kept model or run at work has it"


def garbage(project: Project, settings: Settings, keep: Reached) -> list[Item]:
    """Return objects that nothing leads to, by the dataset version that they belong to.

    A cache that is a link is left alone: others may share it. Raises `ConvoyError` where a kept
    version's list of files is damaged, so that its files cannot be told from others.
    """
    folder = project.state / "dvc-cache"
    if folder.is_symlink():
        report(Step("gc", "running", f"{folder} is a link, so it may be shared: left alone"))
        return []
    kept = {path for digest in keep.data for path in _objects(project, digest, strict=True)}
    old = {
        path: path.stat().st_size
        for path in sorted((folder / "files" / "md5").glob("*/*"))
        if path.is_file()
        and path not in kept
        # Its status changes when DVC moves it here, whenever it was written.
        and not is_young(path.stat().st_ctime, settings.gc.days)
    }
    found = []
    for name, digest in _known(project, settings):
        # The list of its files goes first: without it a version is not here, with it it would be
        # here in part.
        own = [path for path in _objects(project, digest) if path in old]
        if own:
            found.append(_item(name, own, sum(old.pop(path) for path in own), WHY))
    if old:
        why = f"{WHY}, and no version is known to have had it"
        found.append(_item("objects of no version", list(old), sum(old.values()), why))
    return found


def _item(name: str, paths: list[Path], size: int, why: str) -> Item:
    return Item("data", name, len(paths), size, why, tuple(map(str, paths)))


def _objects(project: Project, digest: str, strict: bool = False) -> Iterator[Path]:
    """Yield the object of a hash, and those of the files that it lists."""
    place = object_at(project, digest)
    yield place
    if digest.endswith(".dir"):
        listed = listing(project, digest)
        if strict and listed is None and place.exists():
            raise ConvoyError(
                f"{place} in DVC's cache is damaged, so nobody can tell which files it lists: "
                f"nothing was removed; delete it and bring it again with `convoy data pull`."
            )
        yield from dict.fromkeys(object_at(project, entry["md5"]) for entry in listed or ())


def _known(project: Project, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield name and hash of each version that datasets had here, the newest first."""
    for dataset in settings.datasets:
        for stages in reversed(journal.recorded_ever(project, dataset)):
            version = hash_in(stages, dataset)
            for kind, said in (("prepare", "prepared"), ("fetch", "as it came in")):
                digest = hash_in(stages, dataset, kind)
                if version and digest:
                    yield f"{dataset} {version[:12]}, {said}", digest


def remove(item: Item) -> bool:
    """Remove the objects of a version. Return True."""
    for place in item.places:
        Path(place).unlink(missing_ok=True)
    return True
