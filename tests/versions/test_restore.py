"""Going back to a version: the same bytes, and either all of it or nothing."""

import pytest
import yaml

from convoy import digests, versions
from convoy.errors import NotReproducible, UsageError
from convoy.versions.restore import release, restore
from tests.terminal import convoy, git
from tests.versions.photos import Photos, dvc, write_images

pytestmark = pytest.mark.slow


def pinned(photos: Photos) -> str | None:
    found = yaml.safe_load(photos.project.params.read_text())["datasets"]["photos"]
    return str(found["version"]) if "version" in found else None


def state(photos: Photos) -> tuple[bytes, bytes, dict[str, str]]:
    """What has to stay as it was where a version cannot be had."""
    files = photos.project.lock, photos.project.params
    return (*(path.read_bytes() for path in files), photos.data())  # type: ignore[return-value]


@pytest.fixture
def first_data(photos: Photos) -> dict[str, str]:
    """The files of the first version as DVC itself recorded them, without our restore."""
    found = {}
    for kind, folder in (("fetch", "raw"), ("prepare", "prepared")):
        for name, md5 in photos.listed(photos.hash(kind, "v1")).items():
            found[f"{folder}/photos/{name}"] = md5
    return found


def hashes(photos: Photos) -> dict[str, str]:
    data = photos.project.root / "data"
    return {
        path.relative_to(data).as_posix(): digests.file(path, "md5")
        for folder in (photos.project.raw("photos"), photos.project.prepared("photos"))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_restored_version_has_the_same_bytes_and_stays(
    photos: Photos, first_data: dict[str, str]
) -> None:
    latest = photos.data()
    version = restore(photos.project, "photos", "v1")
    assert version.hash == photos.first == photos.hash()
    assert hashes(photos) == first_data
    assert pinned(photos) == photos.first.removesuffix(".dir")
    # Comments and all else of params.yaml are as they were; dvc.lock is the commit's own.
    assert git(photos.project.root, "diff", "--stat", "--", "params.yaml").count("+") == 2
    assert git(photos.project.root, "diff", "v1", "--", "dvc.lock") == ""
    # Whatever comes in since, an ingest leaves it there.
    write_images(photos.originals, [70])
    again = photos.ingest()
    assert again.hash == photos.first and hashes(photos) == first_data
    # The other way, by digest; the first one's shards are used again.
    digest = versions.stored(photos.project, "photos", photos.second).digest
    assert restore(photos.project, "photos", digest[:12]).hash == photos.second
    assert photos.data() == latest


def test_latest_follows_the_source_again(photos: Photos) -> None:
    digest = photos.ingest().digest  # so that nothing is new at the source
    restore(photos.project, "photos", photos.first)
    assert release(photos.project, "photos")
    assert pinned(photos) is None
    assert photos.ingest().digest == digest
    assert not release(photos.project, "photos")


@pytest.mark.soak
def test_a_commit_checked_out_by_hand_follows_the_source_too(photos: Photos) -> None:
    digest = photos.ingest().digest  # so that nothing is new at the source
    git(photos.project.root, "checkout", "--quiet", "v1")
    dvc(photos.project, "checkout", "--force", "fetch@photos", "prepare@photos")
    assert photos.ingest().digest == digest


def test_the_command_restores_and_follows_again(photos: Photos) -> None:
    root = photos.project.root
    done = convoy(root, "data", "restore", "photos", "v1", "--json")
    assert done.json()["version"] == photos.first
    done = convoy(root, "data", "restore", "photos", "latest", "--json")
    assert done.json()["totals"]["kept"] == 64
    assert pinned(photos) is None


def test_a_pinned_version_that_is_not_the_recorded_one_is_refused(photos: Photos) -> None:
    photos.edit("model: photos", f"model: photos\n    version: {photos.first[:10]}")
    with pytest.raises(NotReproducible, match=f"restore photos {photos.first[:10]}"):
        photos.ingest()


def test_what_is_not_here_comes_from_the_remote(photos: Photos, first_data: dict[str, str]) -> None:
    photos.forget(photos.cache, photos.project.prepared("photos"))
    assert restore(photos.project, "photos", photos.first).hash == photos.first
    assert hashes(photos) == first_data


@pytest.mark.parametrize("kind", ["fetch", "prepare"])
def test_a_version_whose_bytes_are_gone_is_refused_and_nothing_changes(
    photos: Photos, kind: str
) -> None:
    kept = photos.listed(photos.hash(kind)).values()
    gone = next(md5 for md5 in photos.listed(photos.hash(kind, "v1")).values() if md5 not in kept)
    photos.object(gone).unlink()
    photos.object(gone, photos.remote).unlink()
    before = state(photos)
    with pytest.raises(NotReproducible, match=f"{gone[2:]} is neither in DVC's cache nor in the"):
        restore(photos.project, "photos", "v1")
    assert state(photos) == before
    assert photos.ingest().hash == photos.second


def test_a_version_that_no_remote_answers_for_is_refused_and_nothing_changes(
    photos: Photos,
) -> None:
    photos.forget(photos.cache, photos.remote)
    before = state(photos)
    done = convoy(photos.project.root, "data", "restore", "photos", "v1")
    assert done.code == NotReproducible.exit_code
    assert "neither in DVC's cache nor in the remote" in done.err
    assert state(photos) == before


def test_an_entry_that_cannot_keep_a_version_is_refused_and_nothing_changes(
    photos: Photos,
) -> None:
    settings = yaml.safe_load(photos.project.params.read_text())
    settings["datasets"]["photos"] = "ENTRY"
    flow = str(yaml.safe_load(photos.project.params.read_text())["datasets"]["photos"])
    text = yaml.safe_dump(settings, sort_keys=False).replace("photos: ENTRY", f"photos: {flow}")
    photos.project.params.write_text(text)
    before = state(photos)
    with pytest.raises(UsageError, match="as in the README"):
        restore(photos.project, "photos", "v1")
    assert state(photos) == before


def test_a_project_without_a_lock_is_restored_by_what_git_knows(photos: Photos) -> None:
    photos.project.lock.unlink()
    assert restore(photos.project, "photos", "v1").hash == photos.first == photos.hash()


@pytest.mark.parametrize("torn", [b"", b"stages: [", b"\xff\xfe"])
def test_a_torn_lock_is_refused_and_left_as_it_is(photos: Photos, torn: bytes) -> None:
    photos.project.lock.write_bytes(torn)
    before = state(photos)
    with pytest.raises(NotReproducible, match=r"git checkout dvc.lock"):
        restore(photos.project, "photos", photos.first)
    assert state(photos) == before
