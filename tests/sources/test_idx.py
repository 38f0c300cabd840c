"""IDX files of one's own: pairs found by their names, copied byte for byte, kept in step."""

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convoy.errors import ConvoyError, DataRefused
from convoy.settings import Dataset
from convoy.sources.idx import SOURCE
from convoy.sources.source import LabelledImage
from tests import idx_files, loopback
from tests.idx_files import write_pair
from tests.loopback import Server

MINE = Dataset(source="idx", model="m", channels="gray", image_size=8, val=0.2, test=0.2)


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serving() as server:
        yield server


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    (tmp_path / "origin").mkdir()
    return tmp_path / "origin"


def fetch(origin: Path, *others: Path) -> Path:
    """Fetch to a folder beside the first origin and return it; the originals must stay."""
    raw = origin.parent / "raw"
    before = contents(origin) if origin.is_dir() else {}
    SOURCE.fetch(MINE, (str(origin), *map(str, others)), raw, raw.parent / "memory")
    assert not origin.is_dir() or contents(origin) == before
    assert not any((raw.parent / "memory").glob("*"))
    return raw


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def read(raw: Path) -> list[LabelledImage]:
    found = list(SOURCE.read(MINE, raw))
    return [image for image in found if isinstance(image, LabelledImage)]


def test_a_pair_comes_byte_for_byte_with_rows_and_numbers_for_labels(origin: Path) -> None:
    images = write_pair(origin, "my-", [3, 200, 3])
    (origin / "notes.txt").write_text("not an IDX file")
    raw = fetch(origin)
    assert contents(raw) == {n: c for n, c in contents(origin).items() if n != "notes.txt"}
    found = read(raw)
    assert [image.label for image in found] == ["3", "200", "3"]
    assert [image.path for image in found] == [f"my-images-idx3-ubyte.gz:{n}" for n in (1, 2, 3)]
    assert all(image.split is None for image in found)
    for image, expected in zip(found, images, strict=True):
        assert isinstance(image.image, np.ndarray)
        assert (image.image == expected[..., np.newaxis]).all()


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-", "t10k-"),
        ("train-", "test-"),
        ("emnist-letters-train-", "emnist-letters-test-"),
        ("TRAIN.", "T10K."),
    ],
)
def test_official_splits_are_those_in_the_names(origin: Path, train: str, test: str) -> None:
    write_pair(origin, train, [1, 2, 3])
    write_pair(origin, test, [1, 2], seed=1)
    splits = [image.split for image in read(fetch(origin))]
    assert sorted(map(str, splits)) == ["test", "test", "train", "train", "train"]


def test_a_validation_pair_is_one(origin: Path) -> None:
    for seed, part in enumerate(("train-", "validation-", "test-")):
        write_pair(origin, part, [seed], seed=seed)
    assert {image.split: image.label for image in read(fetch(origin))} == {
        "train": "0",
        "val": "1",
        "test": "2",
    }


@pytest.mark.parametrize("part", ["train-", "t10k-"])
def test_half_a_split_is_none(origin: Path, part: str) -> None:
    write_pair(origin, part, [1, 2, 3])
    assert [image.split for image in read(fetch(origin))] == [None, None, None]


def test_a_pair_of_no_split_among_others_is_refused(origin: Path) -> None:
    for part in ("train-", "test-", "more-"):
        write_pair(origin, part, [1])
    with pytest.raises(DataRefused, match=r"more-images-idx3-ubyte.gz says neither train nor test"):
        read(fetch(origin))


@pytest.mark.parametrize("kaggle", ["train-images.idx3-ubyte", "train-images"])
def test_other_common_names_are_known(origin: Path, kaggle: str) -> None:
    write_pair(origin, "train-", [1, 2], end="")
    (origin / "train-images-idx3-ubyte").rename(origin / kaggle)
    labels = kaggle.replace("images", "labels").replace("idx3", "idx1")
    (origin / "train-labels-idx1-ubyte").rename(origin / labels)
    assert [image.label for image in read(fetch(origin))] == ["1", "2"]


def test_an_unpacked_copy_beside_the_packed_file_counts_once(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    write_pair(origin, "train-", [1, 2], end="")
    assert len(read(fetch(origin))) == 2


def test_a_pair_may_be_packed_by_half(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    packed = origin / "train-labels-idx1-ubyte.gz"
    (origin / "train-labels-idx1-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(read(fetch(origin))) == 2


def test_half_a_pair_is_refused(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    (origin / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataRefused, match=r"train-images.* has no file of labels beside it: add"):
        read(fetch(origin))


def test_a_folder_without_idx_files_is_refused_and_nothing_is_lost(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    raw = fetch(origin)
    before = contents(raw)
    for file in origin.iterdir():
        file.unlink()
    with pytest.raises(DataRefused, match=r"origin has no IDX files: name others with `from`"):
        fetch(origin)
    assert contents(raw) == before


def test_an_empty_raw_folder_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"raw has no IDX files"):
        read(tmp_path / "raw")


def test_an_origin_that_is_not_there_is_refused(origin: Path) -> None:
    for asked in (lambda: fetch(origin / "gone"), lambda: SOURCE.fingerprint((f"{origin}/gone",))):
        with pytest.raises(
            DataRefused, match=r"gone \(No such file or directory\): correct `from`"
        ):
            asked()
    with pytest.raises(DataRefused, match=r"^s3://bucket is neither a folder nor an http"):
        SOURCE.fetch(MINE, ("s3://bucket", str(origin)), origin / "raw", origin / "memory")


def test_raw_follows_the_origin(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    write_pair(origin, "old-", [1, 2])
    raw = fetch(origin)
    unchanged = (raw / "train-images-idx3-ubyte.gz").stat()
    (origin / "old-images-idx3-ubyte.gz").unlink()
    (origin / "old-labels-idx1-ubyte.gz").unlink()
    labels = origin / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_files.idx(np.array([7, 8], np.uint8)), mtime=0))
    assert [image.label for image in read(fetch(origin))] == ["7", "8"]
    assert contents(raw) == contents(origin)
    assert (raw / "train-images-idx3-ubyte.gz").stat().st_ino == unchanged.st_ino


def test_without_an_origin_what_lies_there_is_the_users(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    write_pair(raw, "train-", [1, 2])
    SOURCE.fetch(MINE, (), raw, tmp_path / "memory")
    assert len(read(raw)) == 2


def test_origins_may_be_files_and_several_but_not_of_one_name(origin: Path, tmp_path: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    other = tmp_path / "other"
    other.mkdir()
    write_pair(other, "test-", [3])
    raw = fetch(*sorted(origin.iterdir()), other)
    assert [image.label for image in read(raw)] == ["3", "1", "2"]
    shutil.copy(origin / "train-images-idx3-ubyte.gz", other)
    with pytest.raises(DataRefused, match=r"two origins hold train-images-idx3-ubyte.gz: rename"):
        fetch(origin, other)


def test_files_may_come_from_addresses(server: Server, origin: Path, tmp_path: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    files = contents(origin)
    addresses = tuple(server.serve(f"/{name}", content) for name, content in files.items())
    raw = tmp_path / "raw"
    for _ in range(2):
        SOURCE.fetch(MINE, addresses, raw, tmp_path / "memory")
    assert contents(raw) == files
    assert len(server.asked) == 2
    assert SOURCE.fingerprint(addresses) is None


def test_a_disk_that_fills_up_leaves_what_was_there(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(origin, "train-", [1, 2])
    raw = fetch(origin)
    before = contents(raw)
    write_pair(origin, "train-", [4, 5], seed=1)
    (tmp_path / "memory" / "train-images-idx3-ubyte.gz.copy").symlink_to("/dev/full")
    with pytest.raises(ConvoyError, match=r"train-images.* cannot be copied .*\(No space left"):
        fetch(origin)
    assert contents(raw) == before


def test_the_fingerprint_follows_names_sizes_and_times(origin: Path) -> None:
    write_pair(origin, "train-", [1, 2])
    prints = [SOURCE.fingerprint((str(origin),))]
    assert SOURCE.fingerprint((str(origin),)) == prints[0]
    (origin / "notes.txt").write_text("of no account")
    assert SOURCE.fingerprint((str(origin),)) == prints[0]
    labels = origin / "train-labels-idx1-ubyte.gz"
    os.utime(labels, (1, 1))
    prints.append(SOURCE.fingerprint((str(origin),)))
    with labels.open("ab") as stream:
        stream.write(b"\0")
    os.utime(labels, (1, 1))
    prints.append(SOURCE.fingerprint((str(origin),)))
    labels.rename(origin / "test-labels-idx1-ubyte.gz")
    prints.append(SOURCE.fingerprint((str(origin),)))
    assert len(set(prints)) == 4 and None not in prints
