"""Fetching brings what came in, and what has changed at an origin is told without bringing it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convoy.errors import DataRefused, UsageError
from convoy.ingestion.fetch import fetch, is_stale
from convoy.settings import Dataset
from tests.origins.held import dataset, tree, write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/1.jpg")


class Own:
    """A dataset of one's own with the folders that it is fetched into."""

    def __init__(self, root: Path, *origins: Path) -> None:
        self.raw, self.memory = root / "raw", root / "memory"
        self.origins = tuple(map(str, origins))
        self.dataset: Dataset = dataset(**{"from": self.origins})

    def fetch(self) -> None:
        fetch(self.dataset, self.origins, self.raw, self.memory)

    def is_stale(self) -> bool:
        return is_stale(self.dataset, self.origins, self.memory)


@pytest.fixture
def own(tmp_path: Path, photos: Path) -> Own:
    return Own(tmp_path, photos)


def test_what_was_never_fetched_is_stale_and_then_no_longer(own: Own) -> None:
    assert own.is_stale()
    own.fetch()
    assert not own.is_stale()


def added(photos: Path) -> None:
    write(photos, "dog/2.jpg")


def removed(photos: Path) -> None:
    (photos / "dog/1.jpg").unlink()


def renamed(photos: Path) -> None:
    (photos / "dog/1.jpg").rename(photos / "cat/3.jpg")


def rewritten(photos: Path) -> None:
    (photos / "dog/1.jpg").write_bytes(b"something else")


@pytest.mark.parametrize("change", [added, removed, renamed, rewritten])
def test_what_changed_at_an_origin_is_stale_until_it_is_fetched(
    own: Own, photos: Path, change: Callable[[Path], None]
) -> None:
    own.fetch()
    before = tree(own.raw)
    change(photos)
    assert own.is_stale()
    assert tree(own.raw) == before  # asking brings nothing
    own.fetch()
    assert tree(own.raw) != before
    assert not own.is_stale()


def test_fetching_again_changes_no_byte(own: Own) -> None:
    own.fetch()
    before = tree(own.raw)
    own.fetch()
    assert tree(own.raw) == before


def test_another_origin_or_source_is_stale(own: Own, tmp_path: Path) -> None:
    own.fetch()
    other = write(tmp_path / "other", "cat/1.jpg")
    moved = Own(tmp_path, other)
    assert moved.is_stale()
    assert own.dataset.source == "files"
    own.dataset = own.dataset.model_copy(update={"origins": ("elsewhere",)})
    assert own.is_stale()


@pytest.mark.parametrize("content", [b"", b'{"source": "fi', b"[]", b"null"])
def test_a_torn_memory_is_stale(own: Own, content: bytes) -> None:
    own.fetch()
    (own.memory / "fetched.json").write_bytes(content)
    assert own.is_stale()


def test_a_change_while_files_are_brought_is_seen_the_next_time(
    own: Own, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convoy.ingestion import fetch as module
    from convoy.sources import describe
    from convoy.sources.source import Source

    source = describe("files")

    def while_changing(*given: object) -> None:
        source.fetch(*given)  # type: ignore[arg-type]
        added(photos)

    slow = Source(while_changing, source.read, source.fingerprint)
    monkeypatch.setattr(module, "describe", lambda name: slow)
    own.fetch()
    assert own.is_stale()


def test_a_failed_fetch_leaves_what_was_there_and_stays_stale(own: Own, photos: Path) -> None:
    own.fetch()
    before, told = tree(own.raw), (own.memory / "fetched.json").read_bytes()
    for path in sorted(photos.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataRefused):
        own.fetch()
    assert tree(own.raw) == before
    assert (own.memory / "fetched.json").read_bytes() == told
    photos.rmdir()
    with pytest.raises(DataRefused):
        own.is_stale()


def test_raw_files_that_lie_there_are_the_users(tmp_path: Path) -> None:
    digits = dataset(source="digits")
    raw, memory = tmp_path / "raw", tmp_path / "memory"
    fetch(digits, (), raw, memory)
    (raw / "digits.csv.gz").write_bytes(b"mine")
    fetch(digits, (), raw, memory)
    assert (raw / "digits.csv.gz").read_bytes() == b"mine"
    assert not is_stale(digits, (), memory)
    assert json.loads((memory / "fetched.json").read_text())["fingerprint"] is None


def test_a_source_that_knows_where_its_bytes_are_takes_no_origins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="remove `from`"):
        fetch(dataset(source="digits"), ("x",), tmp_path / "raw", tmp_path / "memory")
    assert not (tmp_path / "memory/fetched.json").exists()
