"""A store numbers images, keeps each once, and leaves alone what a former version has."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from convoy import shards
from convoy.ingestion.decoded import Decoded
from convoy.ingestion.prepare import files_of
from convoy.ingestion.store import SMALL_SHARDS, Store
from convoy.settings import Dataset
from convoy.sources.source import LabelledImage

DATASET = Dataset(source="files", model="m", channels="gray", image_size=8, val=0.2, test=0.2)


def image(number: int) -> Decoded:
    pixels = np.full((8, 8, 1), number % 256, np.uint8)
    content = hashlib.sha256(str(number).encode()).digest()
    mark = np.full(64, number % 100, np.int8)
    source = LabelledImage(f"{number}.png", pixels, "cat")
    return Decoded(source, content, "PNG", 20, 30, pixels, mark)


def file_of(number: int) -> bytes:
    return hashlib.sha256(f"file {number}".encode()).digest()


def stored(folder: Path, numbers: range, former: Path | None = None) -> Store:
    """Add images to what a former version has, and write all as images of train."""
    store = Store(folder, DATASET, files_of(former) if former else {})
    used = [store.add(image(number), file_of(number)) for number in numbers]
    store.flush()
    store.tidy(set(used))
    store.write_tables(
        lambda n: store.known[n]._replace(split="train") if n in used else store.known[n]
    )
    return store


def contents(folder: Path, left_out: bool = False) -> dict[bytes, int]:
    """Return the first pixel of each image by its content."""
    files = files_of(folder)
    where = shards.places(files, left_out)
    found = shards.gather(files, where, np.arange(len(where.stored)))
    return {one.content: int(p[0, 0, 0]) for one, p in zip(where.stored, found, strict=True)}


def expected(numbers: range) -> dict[bytes, int]:
    return {image(number).content: number % 256 for number in numbers}


def test_each_image_is_kept_once_and_found_by_each_of_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path, DATASET, {})
    assert store.add(image(1), file_of(1)) == 0
    assert store.add(image(2), file_of(2)) == 1
    assert store.add(image(1), file_of(3)) == 0
    assert store.add(image(1), b"") == 0
    assert store.of_file == {file_of(1): 0, file_of(2): 1, file_of(3): 0}
    store.flush()
    assert store.signatures[:, 0].tolist() == [1, 2]


def test_images_fill_shards_and_the_last_one_as_far_as_they_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 10 * 64)
    stored(tmp_path, range(25))
    arrays = [shards.open_pixels(path) for path in (tmp_path / "shards").glob("*[!r].npy")]
    assert sorted(map(len, arrays)) == [5, 10, 10]
    assert contents(tmp_path) == expected(range(25))


def test_a_former_shard_is_linked_and_not_copied(tmp_path: Path) -> None:
    stored(tmp_path / "one", range(10))
    stored(tmp_path / "two", range(12), tmp_path / "one")
    one, two = (files_of(tmp_path / name) for name in ("one", "two"))
    shared = one.keys() & two.keys()
    assert len(shared) == 3 and len(two) == 6
    assert all(Path(one[name]).samefile(two[name]) for name in shared)
    assert contents(tmp_path / "two") == expected(range(12))


def test_where_files_cannot_be_linked_they_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    stored(tmp_path / "one", range(10))
    monkeypatch.setattr("os.link", refused)
    stored(tmp_path / "two", range(10), tmp_path / "one")
    one, two = (files_of(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, path in one.items():
        assert not Path(path).samefile(two[name])
        assert Path(path).read_bytes() == Path(two[name]).read_bytes()


def test_signatures_are_those_of_the_numbers_over_former_and_new_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 10 * 64)
    stored(tmp_path / "one", range(25))
    store = Store(tmp_path / "two", DATASET, files_of(tmp_path / "one"))
    numbers = {number: store.add(image(number), b"") for number in range(40)}
    store.flush()
    assert sorted(numbers.values()) == list(range(40))
    found = store.signatures[list(numbers.values())]
    assert found[:, 0].tolist() == list(range(40))


def test_an_image_that_nobody_uses_stays_until_most_of_its_shard_is_unused(tmp_path: Path) -> None:
    stored(tmp_path / "one", range(20))
    stored(tmp_path / "two", range(10), tmp_path / "one")
    assert contents(tmp_path / "two") == expected(range(10))
    assert contents(tmp_path / "two", left_out=True) == expected(range(20))
    stored(tmp_path / "three", range(9), tmp_path / "two")
    assert contents(tmp_path / "three", left_out=True) == expected(range(9))
    assert contents(tmp_path / "one") == expected(range(20))


def test_shards_that_nobody_uses_are_gone(tmp_path: Path) -> None:
    stored(tmp_path / "one", range(20))
    stored(tmp_path / "two", range(20, 30), tmp_path / "one")
    assert contents(tmp_path / "two", left_out=True) == expected(range(20, 30))
    assert len(files_of(tmp_path / "two")) == 3


def test_small_shards_are_put_together_when_they_are_many(tmp_path: Path) -> None:
    former = None
    counts = []
    for step in range(1, 3 * SMALL_SHARDS):
        folder = tmp_path / str(step)
        stored(folder, range(5 * step), former)
        counts.append(len(shards.shard_names(files_of(folder))))
        assert contents(folder) == expected(range(5 * step))
        former = folder
    assert max(counts) == SMALL_SHARDS
    assert counts[SMALL_SHARDS] == 1


def test_full_shards_are_left_alone_when_small_ones_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 100 * 64)
    stored(tmp_path / "0", range(100))
    (full,) = shards.shard_names(files_of(tmp_path / "0"))
    for step in range(1, 3 * SMALL_SHARDS):
        folder = tmp_path / str(step)
        stored(folder, range(100 + 5 * step), tmp_path / str(step - 1))
        assert full in shards.shard_names(files_of(folder))


@pytest.mark.parametrize("kind", shards.KINDS)
def test_a_damaged_shard_is_not_taken_over(tmp_path: Path, kind: str) -> None:
    stored(tmp_path / "one", range(10))
    stored(tmp_path / "two", range(20), tmp_path / "one")
    (name,) = shards.shard_names(files_of(tmp_path / "one"))
    path = tmp_path / "two/shards" / f"{name}{kind}"
    path.write_bytes(path.read_bytes()[:-5])
    store = Store(tmp_path / "three", DATASET, files_of(tmp_path / "two"))
    assert set(store.numbers) == set(expected(range(10, 20)))
    assert len(store.signatures) == len(store.known) == 10
    assert not list((tmp_path / "three/shards").glob(f"{name}*"))
