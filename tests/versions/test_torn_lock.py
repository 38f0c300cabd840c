"""A dvc.lock that a kill tore between two lines: put back for whoever reads it, if that is sure."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from convoy import versions
from convoy.versions.workspace import exclusive
from tests.terminal import git
from tests.versions.photos import Photos

pytestmark = pytest.mark.slow


def lines(text: str, kept: int) -> str:
    return "".join(text.splitlines(keepends=True)[:kept])


def test_a_lock_cut_off_between_two_lines_is_put_back_for_whoever_reads_it(
    photos: Photos,
) -> None:
    whole, mark = photos.project.lock.read_text(), photos.project.state / "ingesting-photos"
    mark.write_text(whole)
    last = whole.splitlines().index("  prepare@photos:")
    # Without the last stage, with its name alone, and up to the hash that says what it made.
    hashed = next(n for n, line in enumerate(whole.splitlines()) if n > last and "outs" in line)
    for kept in (last, last + 1, hashed + 1, hashed + 2):
        photos.project.lock.write_text(lines(whole, kept))
        versions.settle(photos.project)
        assert photos.project.lock.read_text() == whole, kept


def test_a_lock_that_was_torn_where_there_was_none_is_removed(photos: Photos) -> None:
    (photos.project.state / "ingesting-photos").write_bytes(b"")
    photos.project.lock.write_text("schema: '2.0'\nstages:\n  fetch@ph")
    versions.settle(photos.project)
    assert not photos.project.lock.exists()


def test_a_lock_that_a_person_changed_after_a_kill_is_left_alone(photos: Photos) -> None:
    whole, mark = photos.project.lock.read_text(), photos.project.state / "ingesting-photos"
    mark.write_text(whole)
    # An older commit that has fewer stages, and a version of another dataset that DVC recorded.
    git(photos.project.root, "checkout", "--quiet", "v1~1")
    older = photos.project.lock.read_text()
    assert "photos" not in older
    record = yaml.safe_load(whole)["stages"]["prepare@digits"]["outs"][0]["md5"]
    digits = older.replace(record, f"{'0' * 32}.dir")
    assert digits != older
    for present in (older, whole.replace(photos.second, photos.first), digits):
        photos.project.lock.write_text(present)
        versions.settle(photos.project)
        assert photos.project.lock.read_text() == present


def test_a_reader_waits_for_the_lock_that_is_written_just_now(
    photos: Photos, caplog: pytest.LogCaptureFixture
) -> None:
    whole, mark = photos.project.lock.read_text(), photos.project.state / "ingesting-photos"
    mark.write_text(whole)

    def write() -> None:
        with exclusive(photos.project):
            photos.project.lock.write_text("")
            begun.set()
            time.sleep(0.3)
            photos.project.lock.write_text(whole + "# complete\n")
            mark.unlink()

    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.INFO, "convoy.progress"):
        writer = pool.submit(write)
        begun.wait()
        versions.settle(photos.project)
        assert photos.project.lock.read_text() == whole + "# complete\n"
        writer.result()
    assert "waits for the ingestion of process" in caplog.text
