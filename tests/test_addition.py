"""A dataset is described from what a person has; where that cannot be, nothing was written."""

import csv
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from convoy.addition import Wanted, add, propose
from convoy.errors import ConvoyError, DataRefused, UsageError
from convoy.project import Project
from convoy.sources.source import LabelledImage
from tests.idx_files import write_pair


def noise(seed: int, height: int = 40, width: int = 50, channels: int = 3) -> NDArray[np.uint8]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (height, width, channels), np.uint8)


def photographs(folder: Path, labels: str = "ab", count: int = 4, **size: int) -> Path:
    """Write images, a folder a class."""
    for place, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(noise(place * 100 + number, **size).squeeze())
            image.save(folder / label / f"{number}.png")
    return folder


def entry(project: Project, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(project.params.read_text())["datasets"][name]
    return found


def wanted(source: object, origin: str | None = None, **given: Any) -> Wanted:
    return Wanted(str(source), origin, given)


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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"channels": "gray"}, "has channels 'rgb': change it in params.yaml"),
        ({"image_size": 64}, "has image_size 32"),
        ({"val": 0.3}, "has val 0.15"),
        ({"test": 0.3}, "has test 0.2"),
        ({"model": "other"}, "has model 'pets'"),
        ({"nested": "join"}, "has nested None"),
    ],
)
def test_values_that_differ_from_the_entrys_are_refused(
    project: Project, given: dict[str, Any], words: str
) -> None:
    photographs(project.root.parent / "pets")
    photographs(project.root.parent / "more", "cd")
    add(project, "pets", wanted("../pets"))
    before = project.params.read_bytes()
    with pytest.raises(UsageError, match=words):
        add(project, "pets", wanted("../more", **given))
    assert project.params.read_bytes() == before


def test_a_dataset_that_is_kept_at_a_version_is_not_added_to(project: Project) -> None:
    photographs(project.root.parent / "pets")
    add(project, "pets", wanted("../pets"))
    kept = project.params.read_text().replace(
        "    model: pets", "    version: abc\n    model: pets"
    )
    project.params.write_text(kept)
    with pytest.raises(UsageError, match=r"is kept at version abc: .* restore pets latest"):
        add(project, "pets", wanted("../pets"))


REFUSED = [
    ("a b", "../pets", None, {}, "'a b' is not a name"),
    ("-x", "../pets", None, {}, "'-x' is not a name"),
    ("", "../pets", None, {}, "'' is not a name"),
    ("../x", "../pets", None, {}, "is not a name"),
    ("x\n", "../pets", None, {}, "is not a name"),
    ("ü", "../pets", None, {}, "is not a name"),
    ("x", "", None, {}, "the source has no name"),
    ("x", "../missing", None, {}, "../missing is neither a file or folder nor a named source"),
    ("x", "minst", None, {}, "nor a named source .*mnist"),
    ("x", "../" + "y" * 300, None, {}, "cannot read .*File name too long"),
    ("x", ".", None, {}, "holds this project itself"),
    ("x", "..", None, {}, "holds this project itself"),
    ("x", "../empty", None, {}, "empty"),
    ("x", "../texts", None, {}, "no image was found there"),
    ("x", "../pets", "../pets", {}, "--from is for a named source"),
    ("x", "digits", "../pets", {}, "comes with scikit-learn"),
    ("x", "mnist", "../missing", {}, "missing"),
    ("x", "mnist", "../pets", {}, "pets"),
    ("x", "../pets", None, {"channels": "lab"}, "channels is 'lab', but input should be 'gray'"),
    ("x", "../pets", None, {"image_size": 0}, "image_size is 0, but"),
    ("x", "../pets", None, {"image_size": 4000}, "image_size is 4000, but"),
    ("x", "../pets", None, {"val": 0.0}, "val is 0.0, but"),
    ("x", "../pets", None, {"val": 0.5, "test": 0.5}, "leave nothing to train on.$"),
    ("x", "../pets", None, {"model": "a b"}, "model is 'a b', but"),
    ("x", "../pets", None, {"nested": "deep"}, "nested is 'deep', but"),
    ("digits", "../pets", None, {}, "is of source 'digits', which '../pets' is not"),
]


@pytest.mark.parametrize(("name", "source", "origin", "given", "words"), REFUSED)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    project: Project,
    name: str,
    source: str,
    origin: str | None,
    given: dict[str, Any],
    words: str,
) -> None:
    around = project.root.parent
    photographs(around / "pets")
    (around / "empty").mkdir()
    for label in "ab":
        (around / "texts" / label).mkdir(parents=True)
        (around / "texts" / label / "notes.txt").write_text("no image")
    before = project.params.read_bytes()
    with pytest.raises(ConvoyError, match=words):
        add(project, name, wanted(source, origin, **given))
    assert project.params.read_bytes() == before
    assert not list((project.root / "data" / "raw").glob("*"))


def test_after_a_refusal_the_same_name_can_be_added(project: Project) -> None:
    pets = photographs(project.root.parent / "pets")
    kept = project.root.parent / "kept"
    shutil.copytree(pets, kept)
    for path in pets.rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(DataRefused, match="no image was found there"):
        add(project, "pets", wanted("../pets"))
    assert not project.raw("pets").exists()
    shutil.copytree(kept, pets, dirs_exist_ok=True)
    add(project, "pets", wanted("../pets"))
    assert entry(project, "pets")["from"] == ["../pets"]
    assert list(project.raw("pets").rglob("*.*"))


def test_a_file_of_settings_that_is_damaged_is_said(project: Project) -> None:
    photographs(project.root.parent / "pets")
    project.params.write_text("datasets: [")
    with pytest.raises(UsageError, match=r"params.yaml, line 2: not valid YAML"):
        add(project, "pets", wanted("../pets"))
    assert project.params.read_text() == "datasets: ["
