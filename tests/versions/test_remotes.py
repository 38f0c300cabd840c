"""Push and pull, here and at S3, and what an ingest says of a version that nobody else can have."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convoy import versions
from convoy.errors import NotReproducible
from tests.s3 import serving
from tests.terminal import convoy, git
from tests.versions.photos import Photos, dvc, flip, write_images

pytestmark = pytest.mark.slow


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with serving(monkeypatch) as client:
        client.create_bucket(Bucket="data")
        yield client


def keys(client: Any) -> set[str]:
    found = client.list_objects_v2(Bucket="data").get("Contents", [])
    return {entry["Key"] for entry in found}


def lose_the_data(photos: Photos) -> None:
    photos.forget(photos.cache, photos.project.root / "data")


def test_what_was_pushed_to_a_folder_is_pulled_byte_for_byte(photos: Photos) -> None:
    root, before = photos.project.root, photos.data()
    photos.forget(photos.remote)
    assert convoy(root, "data", "push", "photos", "--json").json() == {
        "dataset": "photos",
        "version": photos.second,
        "flags": [],
    }
    lose_the_data(photos)
    assert convoy(root, "data", "pull", "photos", "--json").json()["version"] == photos.second
    assert before == {**photos.data(), "README.md": before["README.md"]}


def test_s3_keeps_a_version_for_this_clone_and_for_another(
    photos: Photos, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = photos.data()
    endpoint = s3.meta.endpoint_url
    dvc(photos.project, "remote", "add", "--force", "--default", "team", "s3://data/dvc")
    dvc(photos.project, "remote", "modify", "team", "endpointurl", endpoint)
    photos.commit()
    assert versions.push(photos.project, "photos").flags == ()
    md5s = [*photos.listed(photos.second).values(), photos.second]
    md5s += [*photos.listed(photos.hash("fetch")).values(), photos.hash("fetch")]
    assert keys(s3) == {f"dvc/files/md5/{md5[:2]}/{md5[2:]}" for md5 in md5s}
    lose_the_data(photos)
    assert versions.pull(photos.project, "photos").hash == photos.second
    assert before == {**photos.data(), "README.md": before["README.md"]}
    other = Photos(tmp_path / "elsewhere", photos.first, photos.second)
    git(tmp_path, "clone", "--quiet", str(photos.project.root), str(other.project.root))
    other.project.create_state()
    monkeypatch.chdir(other.project.root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(other.project.state / "dvc-site"))
    assert versions.pull(other.project, "photos").flags == ()
    assert other.data() == before


def test_a_second_clone_pulls_and_goes_on_from_there(photos: Photos, clone: Photos) -> None:
    assert versions.pull(clone.project, "photos").hash == photos.second
    assert clone.data() == photos.data()
    # Its source is not here: it goes on with what came in, and says so.
    found = clone.ingest()
    assert found.hash == photos.second
    assert [flag.startswith("its source was not reached") for flag in found.flags] == [True]
    shutil.copytree(photos.originals, clone.originals)
    write_images(clone.originals, [70])
    grown = clone.ingest()
    assert grown.manifest["totals"]["kept"] == 65
    assert [flag for flag in grown.flags if "not in the remote" in flag] == []


def test_a_second_clone_may_use_a_version_that_is_pinned(photos: Photos, clone: Photos) -> None:
    clone.edit("model: photos", f"model: photos\n    version: {photos.second[:12]}")
    found = clone.ingest()
    assert (found.hash, found.flags) == (photos.second, ())
    assert found.digest == versions.current(photos.project, "photos").digest


def test_what_is_neither_committed_nor_in_the_remote_is_flagged_until_it_is(
    photos: Photos,
) -> None:
    assert photos.ingest().flags == ()
    write_images(photos.originals, [70])
    photos.remote.rename(photos.home / "unplugged")
    photos.remote.write_text("no folder: nothing can be pushed")
    flags = photos.ingest().flags
    assert len(flags) == 2
    assert flags[0].startswith("it is not in the remote (")
    assert flags[1] == versions.UNCOMMITTED
    # So it is on every run, not only the first.
    again = photos.ingest().flags
    assert [flag[:25] for flag in again] == [flag[:25] for flag in flags]
    photos.remote.unlink()
    (photos.home / "unplugged").rename(photos.remote)
    assert photos.ingest().flags == (versions.UNCOMMITTED,)
    photos.commit()
    assert photos.ingest().flags == ()
    assert photos.object(photos.hash(), photos.remote).is_file()


def test_a_remote_that_was_emptied_has_it_again_after_an_ingest(photos: Photos) -> None:
    photos.forget(photos.remote)
    assert photos.ingest().flags == ()
    lose_the_data(photos)
    assert versions.pull(photos.project, "photos").hash == photos.second


def test_damaged_bytes_are_not_pushed(photos: Photos) -> None:
    photos.forget(photos.remote)
    pack = next(
        md5 for name, md5 in photos.listed(photos.hash("fetch")).items() if name.endswith(".tar")
    )
    flip(photos.object(pack))
    with pytest.raises(NotReproducible, match=f"{pack[2:]} is missing or damaged"):
        versions.push(photos.project, "photos")
    assert not photos.object(pack, photos.remote).exists()


def test_pulling_what_nobody_pushed_is_refused_and_touches_nothing(photos: Photos) -> None:
    photos.forget(photos.remote, photos.cache)
    before = photos.data()
    with pytest.raises(NotReproducible, match="the remote has no whole copy"):
        versions.pull(photos.project, "photos")
    assert photos.data() == before
