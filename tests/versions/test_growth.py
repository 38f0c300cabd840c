"""A dataset that grows by a hundredth is written and uploaded by about a hundredth."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from convoy.versions.difference import difference
from tests.versions.conftest import enter
from tests.versions.photos import Photos, add_dataset, relabel, sizes, write_images

pytestmark = pytest.mark.soak

IMAGES = 4000
SIDE = 32


@pytest.fixture(scope="module")
def _many(_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    photos = Photos(tmp_path_factory.mktemp("many"), "", "")
    shutil.copytree(_clone, photos.project.root)
    add_dataset(photos.project)
    photos.edit("image_size: 16", f"image_size: {SIDE}")
    write_images(photos.originals, range(IMAGES), SIDE)
    with pytest.MonkeyPatch.context() as patch:
        enter(photos.project, patch)
        photos.ingest()
    return photos


@pytest.fixture
def many(_many: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    copied = replace(_many, home=tmp_path / "home")
    shutil.copytree(_many.home, copied.home)
    enter(copied.project, monkeypatch)
    return copied


def new_bytes(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(size for name, size in after.items() if name not in before)


def test_one_per_cent_more_images_are_about_one_per_cent_more_bytes(many: Photos) -> None:
    folders = (many.cache / "files", many.remote / "files")
    before = [sizes(folder) for folder in folders]
    kinds = {kind: sizes(many.project.root / "data" / kind) for kind in ("raw", "prepared")}
    write_images(many.originals, range(IMAGES, IMAGES + IMAGES // 100), SIDE)
    version = many.ingest()
    assert version.manifest["totals"]["kept"] == IMAGES * 101 // 100
    for folder, held in zip(folders, before, strict=True):
        whole = sum(held.values())
        assert 0.008 * whole < new_bytes(held, sizes(folder)) < 0.03 * whole
    for kind, held in kinds.items():
        # Raw files and prepared ones each for themselves: neither hides behind the other.
        grown = new_bytes(held, sizes(many.project.root / "data" / kind))
        assert grown < 0.03 * sum(held.values())
    # What lies there already is not written again: the same file under a new name at most.
    shards = many.project.prepared("photos") / "shards"
    assert len(list(shards.glob("*.near.npy"))) == 2


def test_one_changed_label_rewrites_no_images(many: Photos) -> None:
    from convoy import versions

    one = versions.current(many.project, "photos")
    before = sizes(many.remote / "files")
    relabel(many.originals, 0, "owl")
    other = many.ingest()
    assert difference(one, other).relabelled == {"cat": {"owl": 1}}
    whole = sum(before.values())
    assert 0 < new_bytes(before, sizes(many.remote / "files")) < 0.08 * whole
    pixels = {name for name in one.files if name.endswith(".npy")}
    assert {one.files[name] for name in pixels} == {other.files[name] for name in pixels}
