"""A project with two versions of a folder of photographs: made once, copied for each test."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from convoy import environment
from convoy.project import Project
from tests.terminal import git
from tests.versions.photos import (
    Photos,
    add_dataset,
    image,
    relabel,
    tree,
    write_images,
)


def enter(project: Project, patch: pytest.MonkeyPatch) -> None:
    """Work in a project: its code, its state, its folder."""
    project.create_state()
    for name, value in environment.embedded(project).items():
        patch.setenv(name, value)
    patch.setenv("PYTHONPATH", f"{project.root / 'src'}{os.pathsep}{project.root}")
    patch.chdir(project.root)


@pytest.fixture(scope="session")
def _photos(_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    photos = Photos(tmp_path_factory.mktemp("photos"), "", "")
    shutil.copytree(_clone, photos.project.root)
    add_dataset(photos.project)
    write_images(photos.originals, range(60))
    with pytest.MonkeyPatch.context() as patch:
        enter(photos.project, patch)
        before = tree(photos.originals)
        first = photos.ingest().hash
        assert tree(photos.originals) == before
        photos.commit()
        git(photos.project.root, "tag", "v1")
        write_images(photos.originals, range(60, 70))
        for number in range(6):
            image(photos.originals, number).unlink()
        for number in (30, 33, 36):
            relabel(photos.originals, number, "owl")
        second = photos.ingest().hash
        photos.commit()
    return replace(photos, first=first, second=second)


@pytest.fixture
def photos(_photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    """Two versions, both committed and in the remote; the second is the one that lies there."""
    copied = replace(_photos, home=tmp_path / "home")
    shutil.copytree(_photos.home, copied.home)
    enter(copied.project, monkeypatch)
    return copied


@pytest.fixture
def clone(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> Photos:
    """A second clone beside the first, of Git's history alone; the remote is the first one's."""
    home = photos.home.parent / "elsewhere"
    git(photos.home, "clone", "--quiet", str(photos.project.root), str(home / "project"))
    other = replace(photos, home=home)
    local = other.project.root / ".dvc" / "config.local"
    local.write_text(f"['remote \"embedded\"']\n    url = {photos.remote}\n")
    enter(other.project, monkeypatch)
    return other
