import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as arrow  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from convoy import packs
from convoy.errors import ConvoyError, DataRefused
from convoy.origins import local
from convoy.sources import describe
from convoy.sources.files import SOURCE
from convoy.sources.source import Encoded, LabelledImage
from tests import kills
from tests.origins.archives import pack
from tests.origins.held import Held, tree, write

OLD = 10**9
PATHS = [
    f"{split}/{label}/{number}.jpg"
    for split in ("train", "test")
    for label in ("cat", "dog")
    for number in range(5)
]


def aged(folder: Path) -> Path:
    """Set all times back: what has changed a moment ago is never taken for known."""
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD))
    return folder


def numbered(folder: Path, count: int, size: int = 3000) -> Path:
    """Write files of random bytes in ten classes, the same each time."""
    chance = random.Random(1)
    for number in range(count):
        path = folder / f"class{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
    return aged(folder)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held.at(tmp_path / "held")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened."""
    opened: list[str] = []
    read = local.read

    def noted(path: str) -> tuple[bytes, str]:
        opened.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(local, "read", noted)
    return opened


def test_the_source_is_registered() -> None:
    assert describe("files") is SOURCE


def _as_archive(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        members = {path: (folder / path).read_bytes() for path in PATHS}
        return pack(folder.parent / f"photos.{kind}", members, kind)

    return make


def _as_csv(folder: Path) -> Path:
    rows = [",".join((path, path.split("/")[1], path.split("/")[0])) for path in PATHS]
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    return folder / "labels.csv"


def _as_parquet(folder: Path) -> Path:
    splits, labels, _ = zip(*(path.split("/") for path in PATHS), strict=True)
    columns = {"file": PATHS, "class": labels, "split": splits}
    parquet.write_table(arrow.table(columns), folder / "labels.parquet")
    return folder / "labels.parquet"


@pytest.mark.parametrize(
    "make",
    [*(_as_archive(kind) for kind in ("zip", "tar", "tar.gz", "tar.xz")), _as_csv, _as_parquet],
)
def test_all_kinds_of_origin_give_the_same_images(
    tmp_path: Path, held: Held, make: Callable[[Path], Path]
) -> None:
    photos = write(tmp_path / "photos", *PATHS)
    expected = Counter(held.fetch(photos).images().values())

    found = Counter(held.fetch(make(photos)).images().values())

    assert found == expected
    assert set(found) == {(path.encode(), path.split("/")[1], path.split("/")[0]) for path in PATHS}


def test_images_come_in_the_order_of_their_bytes_on_the_disk(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL", 50_000)
    held.fetch(numbered(tmp_path / "photos", 60))

    places = [
        one.image.read.args[2]  # type: ignore[attr-defined]
        for one in held.read()
        if isinstance(one, LabelledImage) and isinstance(one.image, Encoded)
    ]

    assert places == sorted(places)
    assert len({place.pack for place in places}) > 3


def test_the_same_bytes_under_two_paths_are_held_once(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    (photos / "cat/2.jpg").write_bytes(b"cat/1.jpg")

    assert len(held.fetch(photos).images()) == 2
    (path,) = (held.raw / "packs").iterdir()
    assert path.read_bytes().count(b"cat/1.jpg") == 1


def test_equal_contents_leave_equal_files_whatever_their_place_and_times(tmp_path: Path) -> None:
    first = Held.at(tmp_path / "first").fetch(numbered(tmp_path / "one", 50))
    moved = numbered(tmp_path / "elsewhere/two", 50)
    for path in moved.rglob("*.jpg"):
        os.utime(path, (OLD + 5, OLD + 5))

    second = Held.at(tmp_path / "second").fetch(moved)

    assert tree(first.raw) == tree(second.raw)
    assert str(tmp_path).encode() not in b"".join(
        path.read_bytes() for path in first.raw.rglob("*.*")
    )


def test_nothing_is_written_but_into_the_raw_folder_and_the_memory(tmp_path: Path) -> None:
    photos = write(tmp_path / "outside/photos", *PATHS)
    write(tmp_path / "outside", "other.txt")
    packed = pack(tmp_path / "outside/photos.zip", {"cat/1.jpg": b"1"}, "zip")
    before = tree(tmp_path)

    held = Held.at(tmp_path / "held").fetch(photos, packed)
    held.images(nested="flatten")

    after = tree(tmp_path)
    assert {path for path in after if not path.startswith(("held/raw/", "held/memory/"))} == set(
        before
    )
    assert {path: after[path] for path in before} == before


def test_what_has_not_changed_is_not_opened_again(
    tmp_path: Path, held: Held, reads: list[str]
) -> None:
    photos = numbered(tmp_path / "photos", 30)
    held.fetch(photos)
    first = tree(held.raw)
    (photos / "class3/00003.jpg").write_bytes(b"changed")
    reads.clear()

    held.fetch(photos)

    assert reads == ["00003.jpg"]
    assert held.images()["class3/00003.jpg"][0] == b"changed"
    assert tree(held.raw) != first


def test_a_change_that_leaves_size_and_time_is_found_by_the_inode(
    tmp_path: Path, held: Held
) -> None:
    photos = aged(write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg"))
    held.fetch(photos)
    (photos / "new").write_bytes(b"CAT/1.JPG")
    (photos / "new").replace(photos / "cat/1.jpg")
    aged(photos)

    assert held.fetch(photos).images()["cat/1.jpg"][0] == b"CAT/1.JPG"


def test_a_file_changed_within_the_tick_of_a_clock_is_found(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    held.fetch(photos)
    status = (photos / "cat/1.jpg").stat()
    (photos / "cat/1.jpg").write_bytes(b"CAT/1.JPG")
    os.utime(photos / "cat/1.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert held.fetch(photos).images()["cat/1.jpg"][0] == b"CAT/1.JPG"


def test_without_memory_the_result_is_the_same(tmp_path: Path, held: Held) -> None:
    photos = numbered(tmp_path / "photos", 30)
    before = tree(held.fetch(photos).raw)
    for path in held.memory.iterdir():
        path.write_bytes(b"{")

    assert tree(held.fetch(photos).raw) == before
    for path in held.memory.iterdir():
        path.unlink()
    assert tree(held.fetch(photos).raw) == before


def test_a_hundredth_more_files_rewrites_about_a_hundredth(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL", 2**20)
    photos = numbered(tmp_path / "photos", 2000)
    before = tree(held.fetch(photos).raw)
    numbered(photos, 2020)

    after = tree(held.fetch(photos).raw)

    new = [held.raw / path for path in after if before.get(path) != after[path]]
    whole = sum((held.raw / path).stat().st_size for path in after)
    assert 0.005 < sum(path.stat().st_size for path in new) / whole < 0.015
    assert len(held.images()) == 2020


def test_removed_files_are_forgotten_and_their_bytes_go_in_time(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL", 2**18)
    photos = numbered(tmp_path / "photos", 300)
    size = sum(path.stat().st_size for path in held.fetch(photos).raw.rglob("*.tar"))
    removed = [path for number, path in enumerate(sorted(photos.rglob("*.jpg"))) if number % 4]
    for path in removed:
        path.unlink()

    held.fetch(photos)

    assert len(held.images()) == 75
    assert sum(path.stat().st_size for path in held.raw.rglob("*.tar")) < 0.3 * size


def test_many_small_additions_leave_few_packs(tmp_path: Path, held: Held) -> None:
    photos = tmp_path / "photos"
    for count in range(10, 130, 10):
        held.fetch(numbered(photos, count))
        assert len(list(held.raw.rglob("*.tar"))) <= packs.SMALL_PACKS
        assert len(held.images()) == count


def test_a_pack_that_was_deleted_is_brought_anew(tmp_path: Path, held: Held) -> None:
    photos = numbered(tmp_path / "photos", 30)
    before = tree(held.fetch(photos).raw)
    for path in held.raw.rglob("*.tar"):
        path.unlink()

    with pytest.raises(DataRefused, match=r"cannot read .*\.tar .*: delete it and run again"):
        held.images()
    assert tree(held.fetch(photos).raw) == before


def test_an_index_or_rows_that_are_damaged_are_refused_and_brought_anew(
    tmp_path: Path, held: Held
) -> None:
    photos = numbered(tmp_path / "photos", 30)
    before = tree(held.fetch(photos).raw)
    (rows,) = (held.raw / "rows").iterdir()
    for path in (held.raw / "index.json", rows):
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(DataRefused, match=rf"{path.name} is damaged: delete .*index.json"):
            held.images()
        (held.raw / "index.json").unlink()

        assert tree(held.fetch(photos).raw) == before


def test_several_origins_are_one_dataset_with_their_names(tmp_path: Path, held: Held) -> None:
    first = write(tmp_path / "a/photos", "cat/1.jpg", "x.jpg")
    second = write(tmp_path / "b/photos", "cat/1.jpg", "train/2.jpg")
    third = pack(tmp_path / "more.zip", {"test/dog/3.jpg": b"3"}, "zip")

    held.fetch(first, second, third)

    assert held.labels() == {
        "cat/1.jpg": "cat",
        "photos/cat/1.jpg": "cat",
        "photos/train/2.jpg": "train",
        "more.zip/test/dog/3.jpg": "dog",
    }
    assert held.images()["more.zip/test/dog/3.jpg"][2] == "test"
    assert held.findings() == [("quarantined", "no-class", "x.jpg")]


def test_origins_of_one_name_are_told_apart(tmp_path: Path, held: Held) -> None:
    origins = [write(tmp_path / name / "photos", "cat/1.jpg") for name in "abc"]

    held.fetch(*origins)

    assert list(held.images()) == ["cat/1.jpg", "photos/cat/1.jpg", "photos-2/cat/1.jpg"]


def test_a_second_origin_rewrites_nothing_of_the_first(tmp_path: Path, held: Held) -> None:
    photos, more = numbered(tmp_path / "photos", 30), write(tmp_path / "more", "cat/new.jpg")
    before = tree(held.fetch(photos).raw)

    after = tree(held.fetch(photos, more).raw)

    assert {name: content for name, content in before.items() if name != "index.json"}.items() <= (
        after.items()
    )


def test_an_origin_that_is_given_twice_counts_once(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)

    held.fetch(photos, "photos", f"{photos}/", tmp_path / "link")

    assert list(held.images()) == ["cat/1.jpg"]


def test_an_origin_that_is_no_longer_named_is_forgotten(tmp_path: Path, held: Held) -> None:
    first, second = write(tmp_path / "a", "cat/1.jpg"), write(tmp_path / "b", "cat/2.jpg")

    held.fetch(first, second)
    held.fetch(second)

    assert list(held.images()) == ["cat/2.jpg"]


def test_a_refused_origin_leaves_what_was_there(tmp_path: Path, held: Held) -> None:
    photos = numbered(tmp_path / "photos", 30)
    before = tree(held.fetch(photos).raw)
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataRefused):
        held.fetch(photos, tmp_path / "empty")

    assert tree(held.raw) == before
    assert len(held.images()) == 30


def test_classes_that_differ_in_case_are_refused_across_origins(tmp_path: Path, held: Held) -> None:
    held.fetch(write(tmp_path / "a", "Cat/1.jpg"), write(tmp_path / "b", "cat/2.jpg"))

    with pytest.raises(DataRefused, match=r"'Cat' .* and 'cat' .* rename all of them to 'cat'"):
        held.images()


def test_the_fingerprint_changes_with_what_is_there(tmp_path: Path) -> None:
    photos = aged(write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", ".DS_Store"))
    (tmp_path / "labels.csv").write_text("path,label\nphotos/cat/1.jpg,cat\n")
    archive = pack(tmp_path / "photos.zip", {"cat/1.jpg": b"1"}, "zip")
    origins = tuple(map(str, (photos, tmp_path / "labels.csv", archive)))
    seen = [SOURCE.fingerprint(origins)]

    def note() -> None:
        seen.append(SOURCE.fingerprint(origins))

    (photos / "cat/3.jpg").write_bytes(b"3")
    note()
    (photos / "cat/3.jpg").rename(photos / "cat/4.jpg")
    note()
    os.utime(photos / "cat/2.jpg", (OLD + 1, OLD + 1))
    note()
    (tmp_path / "labels.csv").write_text("path,label\nphotos/cat/1.jpg,dog\n")
    note()
    pack(archive, {"cat/1.jpg": b"one"}, "zip")
    note()

    assert None not in seen
    assert len(set(seen)) == len(seen)
    assert SOURCE.fingerprint(origins) == seen[-1]


def test_the_fingerprint_of_a_missing_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="there is no"):
        SOURCE.fingerprint((str(tmp_path / "gone"),))


PROGRAM = """
from pathlib import Path
from convoy import packs
from convoy.sources.files import SOURCE
from tests.origins.held import dataset
packs.FULL = 2**18

def run(raw, memory, origin):
    SOURCE.fetch(dataset(), (origin,), Path(raw), Path(memory))
"""


@pytest.mark.slow
def test_a_fetch_that_is_killed_at_any_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL", 2**18)
    photos = numbered(tmp_path / "photos", 300)
    former = Held.at(tmp_path / "former").fetch(photos).images()
    numbered(photos, 1500)
    for path in sorted(photos.rglob("*.jpg"))[::7]:
        path.unlink()

    def copy(name: str) -> Held:
        shutil.copytree(tmp_path / "former", tmp_path / name)
        return Held(tmp_path / name / "raw", tmp_path / name / "memory")

    undisturbed = copy("undisturbed")
    changes = kills.changes(PROGRAM, undisturbed.raw, undisturbed.memory, photos)
    grown, whole = undisturbed.images(), tree(undisturbed.raw)
    assert changes > 30 and len(grown) == 1285
    killed = {moment: copy(f"killed {moment}") for moment in kills.spread(changes, 8)}
    kills.kill(PROGRAM, {m: (held.raw, held.memory, photos) for m, held in killed.items()})
    for moment, held in killed.items():
        assert held.images() in (former, grown), moment
        assert tree(held.fetch(photos).raw) == whole, moment


def test_a_disk_that_fills_up_leaves_what_was_there(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = numbered(tmp_path / "photos", 30)
    before = tree(held.fetch(photos).raw)
    numbered(photos, 60)

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConvoyError, match=r"the disk of .*raw/packs is full: make room"):
            held.fetch(photos)

    assert tree(held.raw) == before
    assert len(held.fetch(photos).images()) == 60
