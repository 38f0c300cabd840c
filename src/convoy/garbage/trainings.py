"""Folders below .convoy/ that nothing leads to: checkpoints of trainings, copies of versions.

A folder is moved away as a whole before it is removed, so that no training ever finds half of one.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

from convoy.garbage.item import Item, Kind, files_below, is_young, newest
from convoy.garbage.reached import Reached
from convoy.project import Project
from convoy.settings import Settings


def garbage(project: Project, settings: Settings, keep: Reached) -> list[Item]:
    """Return the folders of trainings and copies that are not kept."""
    versions = {f"{name}-{number}" for name, number in keep.versions}
    of_kind: tuple[tuple[Kind, Path, Collection[str], str], ...] = (
        ("training", project.runs, keep.folders, "no kept version, run or present setting has it"),
        ("copy", project.state / "models", versions, "`convoy predict` makes it again"),
    )
    found = [_left(project)] if any(_trash(project).glob("*")) else []
    for kind, parent, kept, why in of_kind:
        for folder in sorted(parent.glob("*")):
            old = folder.is_dir() and not is_young(newest(folder), settings.gc.days)
            if folder.name not in kept and old:
                files, size = files_below(folder)
                found.append(Item(kind, folder.name, files, size, why, (str(folder),)))
    return found


def _left(project: Project) -> Item:
    files, size = files_below(_trash(project))
    return Item("training", "(cut off)", files, size, "an earlier `convoy gc` did not end")


def remove(project: Project, item: Item) -> bool:
    """Remove a folder, and what a collection that was cut off had moved away. Return True."""
    trash = _trash(project)
    if trash.is_dir():
        shutil.rmtree(trash)
    for place in map(Path, item.places):
        trash.mkdir()
        place.rename(trash / place.name)
        shutil.rmtree(trash)
    return True


def _trash(project: Project) -> Path:
    return project.state / "garbage"
