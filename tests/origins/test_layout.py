import unicodedata
from collections.abc import Iterable

import pytest

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins.layout import Layout, Meaning, Nested, check_labels


def meanings(paths: Iterable[str], nested: Nested = None) -> dict[str, Meaning | str]:
    """Return what each path means, a finding as its rule."""
    layout = Layout(nested)
    for path in paths:
        layout.add(path)
    layout.settle()
    found = {path: layout.meaning(path) for path in paths}
    return {
        path: meaning.rule if isinstance(meaning, Finding) else meaning
        for path, meaning in found.items()
    }


def test_the_first_folder_is_the_class() -> None:
    assert meanings(["cat/1.jpg", "dog/2.jpg"]) == {
        "cat/1.jpg": Meaning("cat", None),
        "dog/2.jpg": Meaning("dog", None),
    }


def test_one_class_alone_is_a_class() -> None:
    assert meanings(["cat/1.jpg", "cat/2.jpg"])["cat/1.jpg"] == Meaning("cat", None)


def test_folders_that_hold_everything_are_no_classes() -> None:
    paths = [
        "Data/v2/0/a.jpg",
        "Data/v2/1/b.jpg",
        "Data/README.md",
        "LICENSE",
        "Data/v2/labels.csv",
    ]

    assert meanings(paths) == {
        "Data/v2/0/a.jpg": Meaning("0", None),
        "Data/v2/1/b.jpg": Meaning("1", None),
        "Data/README.md": "not-an-image",
        "LICENSE": "not-an-image",
        "Data/v2/labels.csv": "not-an-image",
    }


@pytest.mark.parametrize(
    ("word", "split"),
    [
        *(("train", "train"), ("Training", "train"), ("val", "val"), ("valid", "val")),
        *(("dev", "val"), ("VALIDATION", "val"), ("test", "test"), ("Testing", "test")),
    ],
)
def test_folders_named_after_splits_are_official_splits(word: str, split: str) -> None:
    found = meanings([f"{word}/cat/1.jpg", "train/cat/2.jpg", "test/dog/3.jpg"])

    assert found[f"{word}/cat/1.jpg"] == Meaning("cat", split)  # type: ignore[arg-type]


def test_splits_are_found_below_a_folder_that_holds_everything() -> None:
    found = meanings(["data/train/cat/1.jpg", "data/train/dog/1.jpg"])

    assert found["data/train/cat/1.jpg"] == Meaning("cat", "train")


def test_a_class_may_be_called_train_among_others() -> None:
    assert meanings(["train/1.jpg", "bus/2.jpg"])["train/1.jpg"] == Meaning("train", None)


def test_an_image_in_no_class_is_quarantined() -> None:
    found = meanings(["cat/1.jpg", "2.jpg", "notes.txt"])
    below = meanings(["train/cat/1.jpg", "test/cat/2.jpg", "train/3.jpg", "train/labels.csv"])

    assert (found["2.jpg"], found["notes.txt"]) == ("no-class", "not-an-image")
    assert (below["train/3.jpg"], below["train/labels.csv"]) == ("no-class", "not-an-image")


def test_an_image_may_be_called_like_a_document() -> None:
    assert meanings(["readme/license.jpg"])["readme/license.jpg"] == Meaning("readme", None)


def test_a_folder_of_documents_alone_is_no_class() -> None:
    found = meanings(["cat/1.jpg", "annotations/1.xml", "cat/2.txt"])
    below = meanings(["train/cat/1.jpg", "test/cat/1.jpg", "docs/a.pdf"])

    assert found["annotations/1.xml"] == "not-an-image"
    assert found["cat/2.txt"] == Meaning("cat", None)
    assert below["docs/a.pdf"] == "not-an-image"


def test_folders_below_a_class_are_asked_about_with_an_example() -> None:
    with pytest.raises(DataRefused) as refused:
        meanings(["cat/big/1.jpg", "dog/2.jpg"])

    assert str(refused.value) == (
        "cat/big/1.jpg lies in a folder below that of its class 'cat': set `nested` of the dataset "
        "in params.yaml to flatten (its class is 'cat') or join (its class is 'cat/big')."
    )


def test_nested_folders_are_part_of_the_class_or_classes_of_their_own() -> None:
    paths = ["train/cat/big/1.jpg", "test/dog/2.jpg"]

    assert meanings(paths, "flatten")[paths[0]] == Meaning("cat", "train")
    assert meanings(paths, "join")[paths[0]] == Meaning("cat/big", "train")
    assert meanings(paths, "join")[paths[1]] == Meaning("dog", "test")


@pytest.mark.parametrize(
    "labels",
    [
        ("Cat", "cat"),
        (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
        ("straße", "STRASSE"),
    ],
)
def test_classes_that_some_systems_take_for_one_are_refused(labels: tuple[str, str]) -> None:
    with pytest.raises(DataRefused, match=r"differ in case or in how an accent .*: rename"):
        check_labels([*labels, "dog"])


def test_classes_that_differ_are_fine() -> None:
    check_labels(["cat", "cats", "dog", "cat"])
