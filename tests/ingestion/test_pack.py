"""Packed arrays follow from the images alone, and a refusal leaves what was there."""

import csv
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.ingestion.pack import fetch, prepare
from convoy.preprocessing import resize
from convoy.settings import Dataset

SETTINGS = Dataset(source="digits", model="m", channels="gray", image_size=16, val=0.2, test=0.2)


def rows(count: int = 240, classes: int = 3) -> list[str]:
    """Random tables in the digits' own format: 64 pixels and a label."""
    draw = random.Random(0)
    lines = []
    for number in range(count):
        pixels = [draw.randint(0, 16) for _ in range(64)]
        lines.append(",".join(map(str, [*pixels, number % classes])))
    return lines


def write(raw: Path, lines: list[str]) -> Path:
    raw.mkdir(exist_ok=True)
    (raw / "digits.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return raw


def packed(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def index(folder: Path) -> dict[str, tuple[str, str]]:
    """Content to label and split."""
    with (folder / "index.csv").open() as stream:
        return {r["content"]: (r["label"], r["split"]) for r in csv.DictReader(stream)}


def array(folder: Path, name: str) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.load(folder / f"{name}.npy", allow_pickle=False)
    return found


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write(tmp_path / "raw", rows())


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return tmp_path / "prepared"


def test_arrays_index_and_manifest_tell_the_same_story(raw: Path, prepared: Path) -> None:
    prepare("three", SETTINGS, raw, prepared)
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["classes"] == ["0", "1", "2"]
    with (prepared / "index.csv").open() as stream:
        listed = list(csv.DictReader(stream))
    assert len(listed) == 240
    for split in ("train", "val", "test"):
        images, labels = array(prepared, f"{split}-images"), array(prepared, f"{split}-labels")
        assert images.shape == (len(labels), 16, 16, 1)
        assert images.dtype == np.uint8
        assert labels.dtype == np.dtype(np.int64)
        named = [manifest["classes"][label] for label in labels]
        assert named == [row["label"] for row in listed if row["split"] == split]
        assert {name: named.count(name) for name in "012"} == manifest["counts"][split]


def test_mean_and_deviation_are_those_of_the_training_images(raw: Path, prepared: Path) -> None:
    prepare("three", SETTINGS, raw, prepared)
    manifest = json.loads((prepared / "manifest.json").read_text())
    images = array(prepared, "train-images").astype(np.float64)
    assert manifest["mean"] == [pytest.approx(images.mean(), abs=1e-6)]
    assert manifest["std"] == [pytest.approx(images.std(), abs=1e-6)]


def test_images_are_resized_by_the_one_resize(raw: Path, prepared: Path) -> None:
    prepare("three", SETTINGS, raw, prepared)
    with (prepared / "index.csv").open() as stream:
        first = next(r for r in csv.DictReader(stream) if r["split"] == "train")
    number = int(first["path"].partition(":")[2])
    pixels = np.array(rows()[number - 1].split(",")[:-1], float).reshape(1, 1, 8, 8)
    image = torch.from_numpy(np.round(pixels * 255 / 16).astype(np.uint8))
    assert (array(prepared, "train-images")[0, :, :, 0] == resize(image, 16)[0, 0].numpy()).all()


def test_preparing_again_gives_the_same_bytes(raw: Path, prepared: Path, tmp_path: Path) -> None:
    prepare("three", SETTINGS, raw, prepared)
    prepare("three", SETTINGS, raw, tmp_path / "again")
    assert packed(prepared) == packed(tmp_path / "again")


def test_the_same_images_in_another_order_give_the_same_arrays(
    raw: Path, prepared: Path, tmp_path: Path
) -> None:
    """A table names images by their row, so only the index's paths may differ."""
    prepare("three", SETTINGS, raw, prepared)
    turned = write(tmp_path / "turned", rows()[::-1])
    prepare("three", SETTINGS, turned, tmp_path / "other")
    one, other = packed(prepared), packed(tmp_path / "other")
    assert index(prepared) == index(tmp_path / "other")
    del one["index.csv"], other["index.csv"]
    assert one == other


def test_an_image_that_came_twice_is_there_once(raw: Path, prepared: Path, tmp_path: Path) -> None:
    prepare("three", SETTINGS, raw, prepared)
    twice = write(tmp_path / "twice", rows() + rows()[:50])
    prepare("three", SETTINGS, twice, tmp_path / "other")
    assert packed(prepared) == packed(tmp_path / "other")


def test_new_images_move_no_old_one(tmp_path: Path, prepared: Path) -> None:
    prepare("three", SETTINGS, write(tmp_path / "raw", rows()[:150]), prepared)
    before = index(prepared)
    prepare("three", SETTINGS, write(tmp_path / "raw", rows()), prepared)
    after = index(prepared)
    assert len(after) == 240
    assert {content: after[content] for content in before} == before


def test_ten_classes_are_ordered_by_number(tmp_path: Path, prepared: Path) -> None:
    prepare("ten", SETTINGS, write(tmp_path / "raw", rows(1000, classes=10)), prepared)
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["classes"] == [str(digit) for digit in range(10)]


def conflicting() -> list[str]:
    first = rows()[0]
    return [*rows(), first[:-1] + "2"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            conflicting(),
            r"digits.csv.gz:241 is the same image as digits.csv.gz:1, but labelled '2'",
        ),
        (rows(classes=1), r"holds 1 class\(es\): a classifier needs at least two"),
        (
            rows(classes=1)[:1] + rows(classes=3)[1:4],
            r"split has no image of class '\d'; add images",
        ),
        (["1,2,3"], "has 3 columns"),
    ],
)
def test_a_refusal_leaves_the_prepared_version_as_it_was(
    raw: Path, prepared: Path, lines: list[str], said: str
) -> None:
    prepare("three", SETTINGS, raw, prepared)
    before = packed(prepared)
    with pytest.raises(DataRefused, match=said):
        prepare("three", SETTINGS, write(raw, lines), prepared)
    assert packed(prepared) == before
    assert sorted(p.name for p in prepared.parent.iterdir()) == ["prepared", "raw"]


def test_a_refusal_before_the_first_version_leaves_nothing(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(DataRefused):
        prepare("three", SETTINGS, write(tmp_path / "raw", conflicting()), prepared)
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_what_a_killed_ingestion_left_behind_is_no_hindrance(raw: Path, prepared: Path) -> None:
    draft = prepared.with_name(".prepared.draft")
    draft.mkdir()
    (draft / "half.npy").write_bytes(b"half")
    prepare("three", SETTINGS, raw, prepared)
    assert not (prepared / "half.npy").exists()
    assert not draft.exists()


def test_colour_settings_for_gray_images_are_refused(raw: Path, prepared: Path) -> None:
    settings = SETTINGS.model_copy(update={"channels": "rgb"})
    with pytest.raises(DataRefused, match=r"1 channel\(s\), but params.yaml says 'rgb'"):
        prepare("three", settings, raw, prepared)


def test_raw_files_that_lie_there_are_the_users(tmp_path: Path) -> None:
    fetch(SETTINGS, tmp_path / "raw")
    assert (tmp_path / "raw" / "digits.csv.gz").is_file()
    (tmp_path / "raw" / "digits.csv.gz").write_bytes(b"mine")
    fetch(SETTINGS, tmp_path / "raw")
    assert (tmp_path / "raw" / "digits.csv.gz").read_bytes() == b"mine"
