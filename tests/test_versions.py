"""Dataset versions with the real DVC: a hash stands for its bytes, and nobody's work is lost."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from convoy import versions
from convoy.errors import DataRefused, NotReproducible
from convoy.project import Project
from convoy.shards import KINDS, shard_names

pytestmark = pytest.mark.slow


def dvc(project: Project, *arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path}
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project.root, env=environ, check=True
    )


def recorded_hash(project: Project) -> str:
    lock = yaml.safe_load(project.lock.read_text())
    return str(lock["stages"]["prepare@digits"]["outs"][0]["md5"])


def edit(path: Path, content: bytes) -> None:
    """Overwrite a file that DVC has made read-only."""
    path.chmod(0o644)
    path.write_bytes(content)


def damage(path: Path) -> None:
    """Change one byte in the middle, as a failing disk would: size, time and rights stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    edit(path, bytes(content))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def shard(version: versions.Version, kind: str = ".npy") -> str:
    """The digits fit in one shard: the name of one of its files, `shards.KINDS`."""
    (name,) = shard_names(version.files)
    return f"shards/{name}{kind}"


def edit_raw(project: Project) -> bytes:
    """Leave out the last ten raw digits; return the file's new bytes."""
    file = project.raw("digits") / "digits.csv.gz"
    rows = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    edited = gzip.compress(b"".join(rows[:-10]), mtime=0)
    edit(file, edited)
    return edited


def test_a_fresh_clone_ingests_to_the_committed_lock_and_stays_clean(project: Project) -> None:
    committed = project.lock.read_bytes()
    version = versions.ingest(project, "digits")
    assert project.lock.read_bytes() == committed
    assert project.commit()[1] is False
    assert version.hash == recorded_hash(project)


def test_dvc_repro_alone_makes_the_committed_lock(project: Project) -> None:
    committed = project.lock.read_bytes()
    project.lock.unlink()
    dvc(project, "repro", "--quiet")
    assert project.lock.read_bytes() == committed


def test_ingesting_again_changes_nothing(ingested: Project) -> None:
    first = versions.current(ingested, "digits")
    before = ingested.lock.read_bytes()
    assert versions.ingest(ingested, "digits") == first
    assert ingested.lock.read_bytes() == before


def test_a_versions_files_are_its_bytes_and_its_manifest_describes_them(ingested: Project) -> None:
    version = versions.current(ingested, "digits")
    parts = {shard(version, kind) for kind in KINDS}
    assert set(version.files) == {*parts, "manifest.json", "report.json"}
    for name, path in version.files.items():
        assert Path(path).read_bytes() == (ingested.prepared("digits") / name).read_bytes()
        assert ingested.state in Path(path).parents
    assert version.manifest["classes"] == [str(digit) for digit in range(10)]


def test_an_edited_raw_file_gives_another_version_and_survives(ingested: Project) -> None:
    before = versions.current(ingested, "digits")
    table = Path(before.files[shard(before, ".csv")]).read_bytes()
    edited = edit_raw(ingested)
    after = versions.ingest(ingested, "digits")
    assert after.hash != before.hash
    assert (ingested.raw("digits") / "digits.csv.gz").read_bytes() == edited
    assert sum(sum(c.values()) for c in after.manifest["counts"].values()) == 1787
    assert after.digest != before.digest
    # A training on the version before still reads its bytes; both share the pixels.
    assert Path(before.files[shard(before, ".csv")]).read_bytes() == table
    assert Path(after.files[shard(after, ".csv")]).read_bytes() != table
    assert after.files[shard(after)] == before.files[shard(before)]


def test_raw_images_that_the_source_refuses_stop_ingestion_and_change_nothing(
    ingested: Project,
) -> None:
    before = recorded_hash(ingested)
    edit(ingested.raw("digits") / "digits.csv.gz", b"<html>404</html>")
    with pytest.raises(DataRefused, match=r"digits.csv.gz is not a gzipped table of numbers"):
        versions.ingest(ingested, "digits")
    assert recorded_hash(ingested) == before == versions.current(ingested, "digits").hash


def test_an_edited_prepared_file_is_refused_and_left_as_it_is(ingested: Project) -> None:
    file = ingested.prepared("digits") / "manifest.json"
    edit(file, b"{}")
    with pytest.raises(NotReproducible, match=r"manifest.json is not what dvc.lock records"):
        versions.ingest(ingested, "digits")
    assert file.read_bytes() == b"{}"


@pytest.mark.parametrize("change", ["added", "removed"])
def test_a_prepared_file_too_many_or_too_few_is_refused(ingested: Project, change: str) -> None:
    folder = ingested.prepared("digits")
    if change == "added":
        (folder / "mine.txt").write_text("mine")
    else:
        (folder / "report.json").unlink()
    with pytest.raises(NotReproducible, match=r"(mine.txt|report.json) is not what dvc.lock"):
        versions.check(ingested, "digits")


@pytest.mark.soak
def test_an_ingest_killed_before_it_was_recorded_is_finished_by_the_next(
    ingested: Project,
) -> None:
    before = versions.current(ingested, "digits")
    edit_raw(ingested)
    manifest = ingested.prepared("digits") / "manifest.json"
    written = manifest.stat().st_mtime_ns
    code = (
        "from convoy import versions; from convoy.project import Project; "
        "versions.ingest(Project.find(), 'digits')"
    )
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not manifest.exists() or manifest.stat().st_mtime_ns == written:
        assert child.poll() is None
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    after = versions.ingest(ingested, "digits")
    assert after.hash != before.hash
    assert sum(sum(c.values()) for c in after.manifest["counts"].values()) == 1787
    # What a person changes afterwards is refused again.
    edit(manifest, b"{}")
    with pytest.raises(NotReproducible):
        versions.check(ingested, "digits")


def test_a_missing_prepared_folder_is_made_again(ingested: Project) -> None:
    before = versions.current(ingested, "digits")
    shutil.rmtree(ingested.prepared("digits"))
    assert versions.ingest(ingested, "digits") == before
    assert (ingested.prepared("digits") / shard(before)).is_file()


@pytest.mark.parametrize("what", [*KINDS, "the listing"])
@pytest.mark.parametrize("how", ["damaged", "missing", "empty"])
def test_a_bad_cache_object_is_noticed_and_fetched_again(
    ingested: Project, what: str, how: str
) -> None:
    version = versions.current(ingested, "digits")
    cache = ingested.state / "dvc-cache" / "files" / "md5"
    listing = cache / version.hash[:2] / version.hash[2:]
    broken = listing if what == "the listing" else Path(version.files[shard(version, what)])
    whole = broken.read_bytes()
    if how == "damaged":
        damage(broken)
    elif how == "empty":
        edit(broken, b"")
    else:
        broken.unlink()
    assert versions.current(ingested, "digits") == version
    assert broken.read_bytes() == whole


def test_a_damaged_object_without_a_whole_copy_is_refused_by_name(ingested: Project) -> None:
    version = versions.current(ingested, "digits")
    damage(Path(version.files[shard(version)]))
    shutil.rmtree(ingested.state / "dvc-remote")
    with pytest.raises(NotReproducible, match="missing or damaged in DVC's cache"):
        versions.current(ingested, "digits")


def test_a_damaged_object_in_cache_and_remote_is_refused(ingested: Project) -> None:
    version = versions.current(ingested, "digits")
    path = Path(version.files[shard(version)])
    damage(path)
    damage(ingested.state / "dvc-remote" / path.relative_to(ingested.state / "dvc-cache"))
    with pytest.raises(NotReproducible, match="missing or damaged"):
        versions.current(ingested, "digits")


@pytest.mark.parametrize(
    "content",
    [b"", b"stages", b"stages: {prepare@digits: [", b"\xff\xfe\x00", b"schema: 2020-13-45\n"],
)
def test_a_dvc_lock_that_is_not_one_is_refused_with_its_mend(
    ingested: Project, content: bytes
) -> None:
    ingested.lock.write_bytes(content)
    for look in (versions.current, versions.ingest):
        with pytest.raises(NotReproducible, match=r"git checkout dvc.lock"):
            look(ingested, "digits")
    assert ingested.lock.read_bytes() == content


def test_a_dvc_lock_that_was_cut_off_anywhere_never_gives_another_version(
    ingested: Project,
) -> None:
    version = versions.current(ingested, "digits")
    lines = ingested.lock.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        ingested.lock.write_bytes(b"".join(lines[:kept])[:-1])
        try:
            assert versions.current(ingested, "digits").hash == version.hash
        except NotReproducible:
            continue


def test_a_project_without_a_lock_has_no_version_yet(project: Project) -> None:
    project.lock.unlink()
    assert versions.recorded(project, "digits") == {}
    with pytest.raises(NotReproducible, match="records no version of 'digits'"):
        versions.current(project, "digits")


def test_a_fingerprint_changes_with_any_write(ingested: Project) -> None:
    before = versions.fingerprint(ingested, "digits")
    assert versions.fingerprint(ingested, "digits") == before
    (ingested.raw("digits") / "more.txt").write_text("more")
    assert versions.fingerprint(ingested, "digits") != before
