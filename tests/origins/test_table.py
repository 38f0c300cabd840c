import math
from pathlib import Path
from typing import Any

import pyarrow as arrow  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from convoy.errors import DataRefused
from convoy.findings import Finding
from tests.origins.held import Held, write


def table(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return folder / name


def frame(folder: Path, **columns: list[Any]) -> Path:
    parquet.write_table(arrow.table(columns), folder / "labels.parquet")
    return folder / "labels.parquet"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write(tmp_path / "photos", "1.jpg", "2.jpg", "3.jpg", "more/4 é.jpg")


def test_rows_say_label_split_and_group(photos: Path, held: Held) -> None:
    rows = "path,label,split,group\n1.jpg,cat,train,anna\n2.jpg,dog,Validation,\nmore/4 é.jpg,a,,\n"

    held.fetch(table(photos, rows))

    assert held.images() == {
        "1.jpg": (b"1.jpg", "cat", "train"),
        "2.jpg": (b"2.jpg", "dog", "val"),
        "more/4 é.jpg": ("more/4 é.jpg".encode(), "a", None),
    }
    groups = {str(one.path): one.group for one in held.read() if not isinstance(one, Finding)}
    assert groups == {"1.jpg": "anna", "2.jpg": None, "more/4 é.jpg": None}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_all_countries_are_read(
    photos: Path, held: Held, delimiter: str, mark: str, end: str
) -> None:
    rows = [["Label", "extra", "FileName"], ["cat", "x, y; z", "1.jpg"], ["dog", "", "2.jpg"]]
    text = mark + "".join(
        delimiter.join(f'"{cell}"' if " " in cell else cell for cell in row) + end for row in rows
    )

    assert held.fetch(table(photos, text)).labels() == {"1.jpg": "cat", "2.jpg": "dog"}


@pytest.mark.parametrize("path", ["path", "file", "filename", "image", "Image"])
@pytest.mark.parametrize("label", ["label", "class", "TARGET"])
def test_columns_have_several_names(photos: Path, held: Held, path: str, label: str) -> None:
    held.fetch(table(photos, f"{label},{path}\ncat,1.jpg\n"))

    assert held.labels() == {"1.jpg": "cat"}


def test_paths_may_be_absolute_lead_out_or_hold_backslashes(
    photos: Path, held: Held, tmp_path: Path
) -> None:
    write(tmp_path / "other", "5.jpg")
    rows = f"path,label\n{photos / '1.jpg'},a\n../other/5.jpg,b\nmore\\4 é.jpg,c\n"

    labels = held.fetch(table(photos, rows)).labels()

    assert list(labels.values()) == ["a", "b", "c"]
    assert held.findings() == []


def test_the_paths_of_a_linked_table_begin_where_the_link_is(
    photos: Path, held: Held, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (photos / "linked.csv").symlink_to(table(tmp_path / "cache", "path,label\n1.jpg,cat\n", "a4f1"))

    assert held.fetch(photos / "linked.csv").labels() == {"1.jpg": "cat"}


def test_all_that_is_wrong_with_rows_is_found_in_one_pass(photos: Path, held: Held) -> None:
    rows = [
        *("path,label,split", "1.jpg,cat,train", "gone.jpg,cat,", "2.jpg,,", "2.jpg,NaN,", ",cat,"),
        *("3.jpg,cat,holdout", "more,cat,", "a,b,c,d", "", "more/4 é.jpg,cat,test", "gone2.jpg,x,"),
    ]

    held.fetch(table(photos, "\n".join(rows)))

    assert list(held.images()) == ["1.jpg", "more/4 é.jpg"]
    assert {f"{one}" for one in held.read() if isinstance(one, Finding)} == {
        "gone.jpg: row 3 names it, and there is no such file: mend the path, or add the file.",
        "2.jpg: row 4 has no label: write its label.",
        "2.jpg: row 5 has no label: write its label.",
        "row 6: has no path: write the path of its file.",
        "3.jpg: row 7 has the split 'holdout': write train, val or test, or nothing.",
        "more: a pipe, a device, a socket or a folder, not a file: remove it.",
        "row 9: has 4 cells for 3 columns: quote cells that hold delimiters.",
        "gone2.jpg: row 12 names it, and there is no such file: mend the path, or add the file.",
    }


def test_the_same_row_twice_counts_once(photos: Path, held: Held) -> None:
    held.fetch(table(photos, "path,label\n1.jpg,cat\n2.jpg,dog\n1.jpg,cat\n"))

    assert held.labels() == {"1.jpg": "cat", "2.jpg": "dog"}
    assert held.findings() == [("ignored", "same-row", "1.jpg")]


def test_a_path_with_two_labels_is_quarantined_with_its_rows(photos: Path, held: Held) -> None:
    held.fetch(table(photos, "path,label\n1.jpg,cat\n2.jpg,dog\n1.jpg,dog\n"))

    assert held.labels() == {"2.jpg": "dog"}
    (found,) = [one for one in held.read() if isinstance(one, Finding)]
    assert str(found) == (
        "1.jpg: rows 2, 4 give it the labels 'cat' and 'dog': leave the right row."
    )


def test_a_path_with_two_splits_is_quarantined(photos: Path, held: Held) -> None:
    held.fetch(table(photos, "path,label,split\n1.jpg,cat,train\n1.jpg,cat,test\n2.jpg,a,\n"))

    assert held.findings() == [("quarantined", "two-splits", "1.jpg")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "is neither|no folder, zip|is empty"),
        (b"path,label\n", "has no rows: write one for each image"),
        (b"path\n1.jpg\n", "has no column 'label'"),
        (b"pth,label\n1.jpg,cat\n", "has no column 'path' .* 'pth', 'label': did you mean 'pth'?"),
        (b"path,lable\n1.jpg,cat\n", "no column 'label' .*: did you mean 'lable'?"),
        ("path,label\n1.jpg,Käse\n".encode("latin-1"), r"not UTF-8 \(byte 18\): save it as CSV"),
        ("path,label\n1.jpg,cat\n".encode("utf-16"), r"UTF-16 \(byte 0\): save it as CSV in UTF-8"),
        (b'path,label\n1.jpg,"cat\n2.jpg,dog\n', "row 3: unexpected end of data"),
        (b"path,label\ngone.jpg,cat\n", "holds no file that can be used; gone.jpg: row 2"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(
    photos: Path, held: Held, text: bytes, sentence: str
) -> None:
    with pytest.raises(DataRefused, match=sentence):
        held.fetch(table(photos, text))


def test_parquet_says_the_same_as_csv(photos: Path, held: Held) -> None:
    held.fetch(
        frame(
            photos,
            image=["1.jpg", "2.jpg", "3.jpg", None],
            Class=[1.0, 2.0, math.nan, 1.0],
            split=["train", "", None, None],
        )
    )

    assert held.images() == {"1.jpg": (b"1.jpg", "1", "train"), "2.jpg": (b"2.jpg", "2", None)}
    rules = [("quarantined", "no-label", "3.jpg"), ("quarantined", "no-path", "row 5")]
    assert held.findings() == rules


def test_parquet_of_whole_images_is_refused(photos: Path, held: Held) -> None:
    with pytest.raises(DataRefused, match=r"its column 'image' holds binary, not texts"):
        held.fetch(frame(photos, image=[b"\xff\xd8"], label=["cat"]))


def test_a_damaged_parquet_is_refused(photos: Path, held: Held) -> None:
    path = frame(photos, path=["1.jpg"], label=["cat"])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataRefused, match=r"labels.parquet is damaged"):
        held.fetch(path)


def test_a_changed_label_changes_rows_and_no_pack(photos: Path, held: Held) -> None:
    held.fetch(table(photos, "path,label\n1.jpg,cat\n2.jpg,dog\n"))
    packs = list((held.raw / "packs").iterdir())

    held.fetch(table(photos, "path,label\n1.jpg,cat\n2.jpg,cat\n"))

    assert held.labels() == {"1.jpg": "cat", "2.jpg": "cat"}
    assert list((held.raw / "packs").iterdir()) == packs
