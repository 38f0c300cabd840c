"""A dataset is described from what a person has: what is proposed, and what is written."""

import csv
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy.addition import add, propose
from convoy.errors import DataRefused
from convoy.project import Project
from convoy.sources.source import LabelledImage
from tests.additions import entry, noise, photographs, wanted
from tests.idx_files import write_pair


def images(*pixels: NDArray[np.uint8]) -> Iterator[LabelledImage]:
    return (LabelledImage(str(number), one, "a") for number, one in enumerate(pixels))


@pytest.mark.parametrize(
    ("pixels", "channels", "size"),
    [
        ([noise(0, 40, 50)], "rgb", 32),
        ([noise(0, 40, 50, 1)], "gray", 32),
        ([noise(0, 64, 64, 1).repeat(3, axis=2)], "gray", 64),
        ([noise(0, 100, 63)], "rgb", 32),
        ([noise(0, 500, 400)], "rgb", 64),
        ([noise(0, 8, 8, 1)], "gray", 32),
        ([noise(0, 40, 40, 1), noise(1, 40, 40)], "rgb", 32),
        ([noise(0, 20, 20), noise(1, 70, 70), noise(2, 90, 90)], "rgb", 64),
    ],
)
def test_channels_and_size_are_proposed_from_the_images(
    pixels: list[NDArray[np.uint8]], channels: str, size: int
) -> None:
    assert propose(images(*pixels)) == {"channels": channels, "image_size": size}


def test_a_grain_of_colour_as_a_jpeg_leaves_it_is_no_colour() -> None:
    gray = noise(0, 40, 40, 1).repeat(3, axis=2)
    tinted = np.where(gray < 255, gray + np.array([0, 1, 0], np.uint8), gray).astype(np.uint8)
    assert propose(images(tinted))["channels"] == "gray"


def test_classes_that_come_late_have_a_say_too() -> None:
    many = [noise(number, 8, 8, 1) for number in range(500)]
    coloured = [noise(number, 80, 80) for number in range(1000)]
    assert propose(images(*many, *coloured)) == {"channels": "rgb", "image_size": 64}


def test_a_folder_becomes_an_entry_with_its_path_from_the_projects_top(project: Project) -> None:
    before = project.params.read_text()
    folder = photographs(project.root.parent / "pets")
    said = add(project, "pets", wanted("../pets"))
    assert "'pets'" in said and "rgb" in said and "32" in said
    assert entry(project, "pets") == {
        "source": "files",
        "from": ["../pets"],
        "model": "pets",
        "channels": "rgb",
        "image_size": 32,
        "val": 0.15,
        "test": 0.2,
    }
    after = project.params.read_text()
    lines = iter(after.splitlines())
    assert all(line in lines for line in before.splitlines()), "in their order"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("below", ["src", "src/convoy", ""])
def test_a_relative_path_is_one_from_the_working_directory(
    project: Project, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    photographs(project.root.parent / "pets")
    monkeypatch.chdir(project.root / below)
    up = "../" * (len(Path(below).parts) + 1)
    add(project, "pets", wanted(f"{up}pets"))
    assert entry(project, "pets")["from"] == ["../pets"]


def test_an_absolute_path_stays_one(project: Project, tmp_path: Path) -> None:
    photographs(tmp_path / "pets")
    add(project, "pets", wanted(tmp_path / "pets"))
    assert entry(project, "pets")["from"] == [str(tmp_path / "pets")]


def test_what_is_said_is_written_instead_of_what_would_be_proposed(project: Project) -> None:
    photographs(project.root.parent / "pets")
    given: dict[str, Any] = {
        "channels": "hsv",
        "image_size": 48,
        "val": 0.1,
        "test": 0.3,
        "model": "zoo",
    }
    add(project, "pets", wanted("../pets", **given))
    assert given.items() <= entry(project, "pets").items()


def test_folders_below_a_class_are_read_as_is_said(project: Project) -> None:
    pets = photographs(project.root.parent / "pets")
    (pets / "a" / "old").mkdir()
    (pets / "a" / "0.png").rename(pets / "a" / "old" / "0.png")
    before = project.params.read_bytes()
    with pytest.raises(DataRefused, match="nested"):
        add(project, "pets", wanted("../pets"))
    assert project.params.read_bytes() == before
    add(project, "pets", wanted("../pets", nested="join"))
    assert entry(project, "pets")["nested"] == "join"


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_an_archive_becomes_an_entry(project: Project, form: str) -> None:
    pets = photographs(project.root.parent / "pets")
    file = project.root.parent / f"pets.{form}"
    if form == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted(pets.rglob("*.png")):
                archive.write(path, path.relative_to(pets))
    else:
        with tarfile.open(file, "w:gz") as packed:
            packed.add(pets, "pets")
    add(project, "pets", wanted(f"../pets.{form}"))
    assert entry(project, "pets")["from"] == [f"../pets.{form}"]
    assert entry(project, "pets")["source"] == "files"


def test_a_table_becomes_an_entry(project: Project) -> None:
    pets = photographs(project.root.parent / "pets")
    with (pets / "labels.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label"))
        rows.writerows((path.relative_to(pets), "x") for path in sorted(pets.rglob("*.png")))
    add(project, "pets", wanted("../pets/labels.csv"))
    assert entry(project, "pets")["from"] == ["../pets/labels.csv"]


@pytest.mark.parametrize("named", ["", "/train-images-idx3-ubyte.gz"])
def test_idx_files_are_known_by_their_names(project: Project, named: str) -> None:
    folder = project.root.parent / "letters"
    folder.mkdir()
    write_pair(folder, "train-", [0, 1, 0, 1])
    if named:
        with pytest.raises(DataRefused, match="has no file of labels beside it"):
            add(project, "letters", wanted(f"../letters{named}"))
        return
    add(project, "letters", wanted("../letters"))
    found = entry(project, "letters")
    assert (found["source"], found["channels"], found["image_size"]) == ("idx", "gray", 32)


def test_a_named_source_needs_no_files_of_ones_own(project: Project) -> None:
    add(project, "numerals", wanted("digits"))
    found = entry(project, "numerals")
    assert (found["source"], found["channels"], found["image_size"]) == ("digits", "gray", 32)
    assert "from" not in found


def test_adding_the_same_again_changes_nothing(project: Project) -> None:
    photographs(project.root.parent / "pets")
    add(project, "pets", wanted("../pets"))
    before = project.params.read_bytes()
    for source in ("../pets", "../pets/", "../pets/../pets", str(project.root.parent / "pets")):
        assert "already" in add(project, "pets", wanted(source))
        assert project.params.read_bytes() == before
    assert "already" in add(project, "digits", wanted("digits"))
    assert project.params.read_bytes() == before


def test_a_second_origin_is_added_to_the_first(project: Project) -> None:
    photographs(project.root.parent / "pets")
    photographs(project.root.parent / "more", "cd")
    add(project, "pets", wanted("../pets"))
    first = entry(project, "pets")
    said = add(project, "pets", wanted("../more", channels="rgb", val=0.15))
    assert "../more" in said
    assert entry(project, "pets") == {**first, "from": ["../pets", "../more"]}
