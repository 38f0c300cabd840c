"""The file of a run's predictions: whole and the same, or refused in a sentence."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.evaluation.predictions import Predictions, Scored
from tests.evaluation.scorings import contents, predictions, scored


def test_what_is_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    ours = predictions()
    ours.save(tmp_path / "predictions.npz")
    back = Predictions.load(tmp_path / "predictions.npz")
    assert back.classes == ours.classes
    for one, other in ((back.test, ours.test), (back.val, ours.val)):
        for name in ("probabilities", "labels", "images"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
            assert getattr(one, name).dtype == getattr(other, name).dtype
        assert one.digest == other.digest
    assert back.test.digest != back.val.digest
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.npz"]


def test_classes_have_any_name(tmp_path: Path) -> None:
    named = replace(scored(classes=3), classes=("naïve 🐈", "a\0b", "$\n"))
    Predictions(named, named).save(tmp_path / "predictions.npz")
    assert Predictions.load(tmp_path / "predictions.npz").classes == named.classes


def relabelled(one: Scored) -> Scored:
    labels = one.labels.copy()
    labels[3] = (labels[3] + 1) % len(one.classes)
    return replace(one, labels=labels)


def another_image(one: Scored) -> Scored:
    images = one.images.copy()
    images[3] = contents(1, start=999)[0]
    return replace(one, images=images)


def fewer(one: Scored) -> Scored:
    return Scored(one.probabilities[:-1], one.labels[:-1], one.images[:-1], one.classes)


def another_order(one: Scored) -> Scored:
    return Scored(one.probabilities[::-1], one.labels[::-1], one.images[::-1], one.classes)


def renamed(one: Scored) -> Scored:
    return replace(one, classes=("another", *one.classes[1:]))


@pytest.mark.parametrize("change", [relabelled, another_image, fewer, another_order, renamed])
def test_another_image_order_label_or_name_is_another_test_version(
    change: Callable[[Scored], Scored],
) -> None:
    assert change(scored()).digest != scored().digest


def test_neither_the_network_nor_its_order_of_the_classes_is_the_test_version() -> None:
    one = scored()
    columns = np.array([2, 0, 1, 4, 3])  # class k is column columns[k] now
    shares = np.empty_like(one.probabilities)
    shares[:, columns] = one.probabilities
    classes = tuple(np.array(one.classes)[np.argsort(columns)].tolist())
    other = Scored(shares[:, ::1], columns[one.labels], one.images, classes)
    assert other.classes != one.classes
    assert other.digest == one.digest
    assert replace(one, probabilities=one.probabilities[::-1].copy()).digest == one.digest


Arrays = dict[str, NDArray[Any]]


def nan(arrays: Arrays) -> None:
    arrays["test_probabilities"][2, 1] = np.nan


def no_val(arrays: Arrays) -> None:
    del arrays["val_images"]


def unknown(arrays: Arrays) -> None:
    arrays["extra"] = np.zeros(1)


def a_class_less(arrays: Arrays) -> None:
    arrays["classes"] = arrays["classes"][1:]


def an_image_less(arrays: Arrays) -> None:
    arrays["val_images"] = arrays["val_images"][1:]


def nothing(arrays: Arrays) -> None:
    for name in arrays:
        if name.startswith("test"):
            arrays[name] = arrays[name][:0]


def flat(arrays: Arrays) -> None:
    arrays["test_probabilities"] = arrays["test_probabilities"].ravel()


def outside(arrays: Arrays) -> None:
    arrays["val_labels"][0] = 5


def numbers(arrays: Arrays) -> None:
    arrays["test_images"] = np.arange(len(arrays["test_labels"]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nan, "cannot be used: Image 2 has the probability nan for 'class 1'"),
        (no_val, "lacks or has in excess val_images"),
        (unknown, "lacks or has in excess extra"),
        (a_class_less, "cannot be used: The probabilities have the shape"),
        (an_image_less, "cannot be used: The images are"),
        (nothing, "takes at least one image"),
        (flat, "cannot be used: The probabilities have the shape"),
        (outside, "cannot be used: Image 0 has the label 5"),
        (numbers, "cannot be used"),
    ],
)
def test_a_file_of_something_else_is_refused_with_the_mend(
    change: Callable[[Arrays], None], says: str, tmp_path: Path
) -> None:
    file = tmp_path / "predictions.npz"
    predictions().save(file)
    with np.load(file, allow_pickle=False) as kept:
        arrays = dict(kept)
    change(arrays)
    np.savez(file, **arrays)  # type: ignore[arg-type]
    refused(file, says)


def refused(file: Path, says: str) -> None:
    with pytest.raises(DataRefused, match=says) as found:
        Predictions.load(file)
    sentence = str(found.value)
    assert sentence.startswith(str(file)) and "\n" not in sentence
    assert sentence.endswith("run again to have the network scored anew.")


def test_a_missing_empty_cut_or_foreign_file_is_refused_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npz"
    refused(file, "is missing")
    file.mkdir()
    refused(file, "is damaged")
    file.rmdir()
    file.write_bytes(b"")
    refused(file, "is damaged")
    predictions().save(file)
    whole = file.read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        refused(file, "is damaged")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    file.write_bytes(bytes(flipped))
    refused(file, "is damaged")
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    refused(file, "is damaged")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npz"
    file.write_bytes(pickle.dumps({"classes": "ab"}))
    refused(file, "is damaged")
    np.savez(file, classes=np.array([{"a": 1}], dtype=object))
    refused(file, "is damaged")


def test_val_and_test_are_of_one_network() -> None:
    with pytest.raises(DataRefused, match="score both with one network"):
        Predictions(scored(classes=4), scored(classes=5))
