"""Ingests that are killed, that run at once, or that the disk is too small for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convoy import versions
from convoy.versions import journal
from convoy.versions.program import broken, hash_in, stages_in
from convoy.versions.restore import restore
from tests.terminal import environment
from tests.versions.photos import Photos, tree, write_images

pytestmark = pytest.mark.slow

SECONDS = 240
"""An ingest here takes some five, and many times that beside other work."""


@pytest.fixture(scope="module")
def third(_photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest that an ingest of 300 more images gives when nobody interrupts it."""
    home = tmp_path_factory.mktemp("third") / "home"
    shutil.copytree(_photos.home, home)
    photos = Photos(home, "", "")
    write_images(photos.originals, range(100, 400))
    out, _ = photos.start().communicate(timeout=SECONDS)
    listed = photos.listed(json.loads(out)["version"])
    manifest = json.loads(photos.object(listed["manifest.json"]).read_bytes())
    assert manifest["totals"]["kept"] == 364
    return str(manifest["digest"])


@pytest.fixture
def growing(photos: Photos) -> Iterator[Photos]:
    """With 300 more images than the second version has."""
    write_images(photos.originals, range(100, 400))
    before = tree(photos.originals)
    yield photos
    assert tree(photos.originals) == before


def changed(path: Callable[[Photos], Path]) -> Callable[[Photos], Callable[[], bool]]:
    """Tell whether something is no longer as it was."""

    def begin(photos: Photos) -> Callable[[], bool]:
        watched = path(photos)
        before = look(watched)
        return lambda: look(watched) != before

    return begin


def look(path: Path) -> tuple[float, int, int] | None:
    try:
        status = path.stat()
        return (status.st_mtime, status.st_size, sum(1 for _ in path.glob("*")))
    except FileNotFoundError:
        return None


MOMENTS = {
    "begun": changed(lambda photos: photos.project.state / "ingesting-photos"),
    "a pack is written": changed(lambda photos: photos.project.raw("photos") / "packs"),
    "the raw files are recorded": changed(lambda photos: photos.project.lock),
    "shards are written": changed(lambda p: p.project.root / "data/prepared/.photos.draft/shards"),
    "prepared": changed(lambda photos: photos.project.prepared("photos") / "manifest.json"),
    "in the cache": changed(lambda photos: photos.cache / "files" / "md5"),
}


QUICK = ("the raw files are recorded", "shards are written", "prepared")


@pytest.mark.parametrize(
    "moment",
    [m if m in QUICK else pytest.param(m, marks=pytest.mark.soak) for m in MOMENTS],
)
def test_a_killed_ingest_leaves_the_former_version_and_is_finished_by_the_next(
    growing: Photos, third: str, moment: str
) -> None:
    has_come = MOMENTS[moment](growing)
    child = growing.start()
    deadline = time.monotonic() + SECONDS
    while not has_come():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert broken(growing.project, growing.second) == []
    version = versions.current(growing.project, "photos")
    assert version.hash == growing.second or version.digest == third
    finished = growing.ingest()
    assert finished.digest == third
    assert not list((growing.project.root / "data" / "prepared").glob(".photos*"))
    listed = [one.hash for one in journal.versions(growing.project, "photos")]
    assert listed[:2] == [growing.first, growing.second] and listed[-1] == finished.hash
    assert not (growing.project.state / "ingesting-photos").exists()


def test_the_former_version_can_be_restored_after_a_kill(growing: Photos) -> None:
    before = growing.data()
    has_come = MOMENTS["prepared"](growing)
    child = growing.start()
    while not has_come():
        assert child.poll() is None
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    # As the kill finds it when it comes while the former version is deleted, and leaves it.
    left = growing.project.root / "data/prepared/.photos.former/shards"
    left.mkdir(parents=True, exist_ok=True)
    (left / "some.csv").write_text("what is not deleted yet")
    restore(growing.project, "photos", growing.second)
    assert growing.data() == before


@pytest.mark.parametrize("left", [0, 0.99])
def test_a_lock_that_was_cut_off_by_a_kill_is_put_back(
    growing: Photos, third: str, left: float
) -> None:
    # DVC writes dvc.lock in place; this is how it lies there when that is when it dies.
    whole = growing.project.lock.read_bytes()
    (growing.project.state / "ingesting-photos").write_bytes(whole)
    growing.project.lock.write_bytes(whole[: int(left * len(whole))])
    assert versions.current(growing.project, "photos").hash == growing.second
    assert growing.project.lock.read_bytes() == whole
    if not left:
        assert growing.ingest().digest == third


def test_two_ingests_at_once_wait_for_each_other_and_say_so(growing: Photos, third: str) -> None:
    first = growing.start()
    owner = growing.project.state / "dvc.owner"
    while not (owner.is_file() and owner.read_text()):
        assert first.poll() is None
        time.sleep(0.01)
    both = [first, growing.start()]
    ended = [child.communicate(timeout=SECONDS) for child in both]
    assert [child.returncode for child in both] == [0, 0], ended
    assert len({json.loads(out)["version"] for out, _ in ended}) == 1
    waited = [err for _, err in ended if "waits for the ingestion of process" in err]
    assert len(waited) == 1
    assert f"waits for the ingestion of process {first.pid}" in waited[0]
    assert versions.current(growing.project, "photos").digest == third


def test_a_refused_ingest_leaves_the_former_version_and_guards_it_still(photos: Photos) -> None:
    before, lock = photos.data(), photos.project.lock.read_bytes()
    for number in range(60):
        (photos.originals / "cat" / f"bad {number}.png").write_bytes(b"no image")
    child = photos.start()
    out, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 3 and json.loads(out)["version"] is None, err
    assert photos.hash() == photos.second
    assert photos.project.lock.read_bytes() == lock
    prepared = {name: digest for name, digest in before.items() if name.startswith("prepared")}
    assert prepared.items() <= photos.data().items()
    edited = photos.project.prepared("photos") / "manifest.json"
    edited.chmod(0o644)
    edited.write_text("{}")
    child = photos.start()
    _, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 4 and "manifest.json is not what dvc.lock records" in err


def test_nothing_is_written_outside_the_project(growing: Photos, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    for name in names:
        (elsewhere / name).mkdir(parents=True)
    _, err = growing.start(more={name: str(elsewhere / name) for name in names}).communicate(
        timeout=SECONDS
    )
    assert not err or "Traceback" not in err
    assert tree(elsewhere) == {}
    assert {path.name for path in growing.home.iterdir()} == {"originals", "project"}


SMALL_DISK = """
set -e
mount -t tmpfs -o size=200m none disk
cp -a home/project home/originals disk/
used=$(df --output=used -k disk | tail -1)
mount -o remount,size=$((used + FREE))k disk
cd disk/project
code=0
"$PYTHON" -m convoy data check photos --json > ../../out 2> ../../err || code=$?
echo $code > ../../code
cp dvc.lock ../../lock
mount -o remount,size=200m ..
"$PYTHON" -m convoy data check photos --json > ../../out2 2> ../../err2
cp data/prepared/photos/manifest.json ../../
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="a small disk is mounted in a namespace of its own, which this user may not make",
)
# DVC itself never ends with the last.
@pytest.mark.parametrize(
    "free", [*(pytest.param(free, marks=pytest.mark.soak) for free in (40, 400)), 1900]
)
def test_a_full_disk_leaves_the_former_version_and_space_lets_it_finish(
    growing: Photos, third: str, tmp_path: Path, free: int
) -> None:
    (tmp_path / "disk").mkdir()
    more = {"FREE": str(free), "PYTHON": sys.executable}
    env = environment(Path(), more) | {"PYTHONPATH": str(tmp_path / "disk/project/src")}
    subprocess.run(
        ["unshare", "-m", "bash", "-c", SMALL_DISK],
        cwd=tmp_path,
        env=env,
        check=True,
        timeout=SECONDS,
    )
    err = (tmp_path / "err").read_text()
    flags = json.loads((tmp_path / "out").read_text() or "{}").get("flags", [])
    if int((tmp_path / "code").read_text()) == 0:
        # The version was made; only the remote had no room.
        assert any("not in the remote" in flag for flag in flags), (err, flags)
    else:
        assert int((tmp_path / "code").read_text()) == 1
        last = err.strip().splitlines()[-1]
        assert last.startswith("convoy: ") and "Traceback" not in err
        assert "space" in last or "full" in last or "room" in last
        lock = (tmp_path / "lock").read_text()
        assert hash_in(stages_in(lock, "photos"), "photos") == growing.second
    found = json.loads((tmp_path / "out2").read_text())
    assert found["flags"] == [versions.UNCOMMITTED]
    assert found["totals"]["kept"] == 364
    assert json.loads((tmp_path / "manifest.json").read_text())["digest"] == third
