"""Shards give back what was put into them, in the order of the images' contents, or refuse."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy import shards
from convoy.errors import DataRefused
from convoy.shards import Stored
from convoy.splits import Split

HOSTILE = [
    "new\nline",
    "lone\rreturn",
    "carriage\rreturn\r\n",
    'quo"te',
    "comma,semi;tab\t",
    " space ",
    "\udce9\udcff.png",
    "nul\0byte",
    "\u2028line\x85separators\x1c",
    "\u202egnp.exe",
    "'=1+1",
    "#",
    "\\",
    "",
    "x" * 5000,
]


def stored(name: str, split: Split | None = "train", path: str = "p", label: str = "l") -> Stored:
    content = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return Stored(content, content[:8], content[::-1], "PNG", 7, 9, path, label, split, None)


def pixels(number: int) -> NDArray[np.uint8]:
    return np.full((4, 4, 3), number, np.uint8)


def write(folder: Path, numbers: list[int], split: Split | None = "train") -> str:
    """Write a shard of numbered images."""
    rows = [stored(str(number), split) for number in numbers]
    images = np.stack([pixels(number) for number in numbers])
    marks = np.zeros((len(numbers), 64), np.int8)
    name = shards.write_pixels(folder / "shards", [row.content for row in rows], images, marks)
    shards.write_table(folder / "shards" / f"{name}.csv", rows)
    return name


def files_of(folder: Path) -> dict[str, str]:
    return {f"shards/{path.name}": str(path) for path in (folder / "shards").iterdir()}


def test_a_table_holds_any_name_label_and_group(tmp_path: Path) -> None:
    rows = [
        stored(text, split, path=text, label=text[::-1])._replace(group=text or None)
        for text in HOSTILE
        for split in (None, "train")
    ]
    shards.write_table(tmp_path / "t.csv", rows)
    assert list(shards.read_table(tmp_path / "t.csv")) == rows


def test_an_equal_table_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    shards.write_table(path, [stored("one")])
    before = path.stat().st_ino
    shards.write_table(path, [stored("one")])
    assert path.stat().st_ino == before


def test_a_changed_table_leaves_a_linked_one_as_it_was(tmp_path: Path) -> None:
    path, linked = tmp_path / "t.csv", tmp_path / "linked.csv"
    shards.write_table(path, [stored("one")])
    os.link(path, linked)
    shards.write_table(path, [stored("two")])
    assert list(shards.read_table(linked)) == [stored("one")]
    assert list(shards.read_table(path)) == [stored("two")]


def test_a_table_that_was_cut_anywhere_is_refused_or_lacks_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [stored(str(number), path=HOSTILE[number]) for number in range(4)]
    shards.write_table(path, rows)
    content = path.read_bytes()
    refused = 0
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            found = list(shards.read_table(path))
        except DataRefused as error:
            assert str(path) in str(error)
            refused += 1
        else:
            # The last field of a row is a group, which may be empty.
            assert found == rows[: len(found)]
    assert refused > 0.9 * len(content)


@pytest.mark.parametrize("content", [b"", b"\n", b"path,label\n", b"\x93NUMPY\x01\0", b"\xff" * 99])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataRefused, match=r"t.csv is not a shard's table: prepare the dataset"):
        list(shards.read_table(tmp_path / "t.csv"))


def test_the_order_is_that_of_the_contents_whatever_the_shards(tmp_path: Path) -> None:
    numbers = list(range(40))
    write(tmp_path / "one", numbers)
    for start in range(0, 40, 7):
        write(tmp_path / "many", numbers[::-1][start : start + 7])
    expected = sorted(numbers, key=lambda number: stored(str(number)).content)
    for folder in (tmp_path / "one", tmp_path / "many"):
        files = files_of(folder)
        where = shards.places(files)
        found = shards.gather(files, where, where.of("train"))
        assert found[:, 0, 0, 0].tolist() == expected


def test_gathering_takes_any_images_in_any_order_from_several_shards(tmp_path: Path) -> None:
    for start in range(0, 30, 5):
        write(tmp_path, list(range(start, start + 5)))
    files = files_of(tmp_path)
    where = shards.places(files)
    number_of = {stored(str(number)).content: number for number in range(30)}
    chosen = np.random.default_rng(0).integers(0, 30, 100)
    found = shards.gather(files, where, chosen)
    for image, number in zip(found, chosen, strict=True):
        assert (image == pixels(number_of[where.stored[number].content])).all()


def test_images_that_were_left_out_are_there_only_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, [1, 2], "train")
    write(tmp_path, [3], "test")
    write(tmp_path, [4], None)
    files = files_of(tmp_path)
    where = shards.places(files)
    assert [len(where.of(split)) for split in ("train", "val", "test")] == [2, 0, 1]
    assert len(where.stored) == 3
    assert len(shards.places(files, left_out=True).stored) == 4


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [1])
    files = files_of(tmp_path)
    where = shards.places(files)
    with pytest.raises(DataRefused, match="no images in what was asked for"):
        shards.gather(files, where, where.of("val"))


def test_a_name_follows_from_contents_and_form(tmp_path: Path) -> None:
    contents, marks = [bytes(32), bytes(range(32))], np.zeros((2, 64), np.int8)

    def name(contents: list[bytes], side: int, channels: int) -> str:
        images = np.zeros((2, side, side, channels), np.uint8)
        return shards.write_pixels(tmp_path / str(side), contents, images, marks)

    names = {
        name(contents, 4, 3),
        name(contents, 4, 1),
        name(contents, 5, 3),
        name(contents[::-1], 4, 3),
    }
    assert len(names) == 4
    assert name(contents, 4, 3) in names


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_floats(path: Path) -> None:
    np.save(path, np.zeros((3, 4, 4, 3), np.float32))


def flat(path: Path) -> None:
    np.save(path, np.zeros((3, 48), np.uint8))


def of_another_count(path: Path) -> None:
    np.save(path, np.zeros((2, 4, 4, 3), np.uint8))


def of_objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "damage", [cut, emptied, of_floats, flat, of_another_count, of_objects, removed]
)
def test_damaged_pixels_are_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    name = write(tmp_path, [1, 2, 3])
    before = files_of(tmp_path)
    damage(tmp_path / "shards" / f"{name}.npy")
    # A mapping may name a file that is gone by now, or lack it.
    for files in (before, files_of(tmp_path)):
        where = shards.places(files)
        with pytest.raises(DataRefused, match=f"{name}.*prepare"):
            shards.gather(files, where, where.of("train"))


@pytest.mark.parametrize("kind", [".npy", ".near.npy", ".csv"])
def test_a_whole_shard_is_read_and_one_in_pieces_refused(tmp_path: Path, kind: str) -> None:
    name = write(tmp_path, [1, 2, 3])
    other = write(tmp_path / "other", [1, 2])
    files = files_of(tmp_path)
    shard = shards.read(files, name)
    assert (len(shard.stored), shard.pixels.shape, shard.signatures.shape) == (
        3,
        (3, 4, 4, 3),
        (3, 64),
    )
    swapped = {
        **files,
        f"shards/{name}{kind}": files_of(tmp_path / "other")[f"shards/{other}{kind}"],
    }
    with pytest.raises(DataRefused, match="not of one whole"):
        shards.read(swapped, name)
    with pytest.raises(DataRefused, match="is missing"):
        shards.read({path: at for path, at in files.items() if not path.endswith(kind)}, name)


def test_a_digest_is_that_of_the_pixels_however_they_lie_in_memory() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    assert shards.digest(image) == shards.digest(np.asfortranarray(image))
    other = image.copy()
    other[5, 5, 2] ^= 1
    assert shards.digest(image) != shards.digest(other)
