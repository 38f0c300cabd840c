"""Where a dataset cannot be added, it is said why, and nothing was written."""

import shutil
from typing import Any

import pytest

from convoy.addition import add
from convoy.errors import ConvoyError, DataRefused, UsageError
from convoy.project import Project
from tests.additions import entry, photographs, wanted


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
