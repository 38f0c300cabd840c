"""Splits come from content: nothing else can move an image."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from convoy.ingestion.split import SPLITS, content_hash, split_of


def contents(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def test_the_same_pixels_are_in_the_same_split_however_they_lie_in_memory() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert content_hash(image) == content_hash(image.copy())
    assert content_hash(image) == content_hash(np.asfortranarray(image))


def test_one_pixel_or_another_shape_is_another_image() -> None:
    image = np.zeros((4, 4, 1), np.uint8)
    other = image.copy()
    other[3, 3] = 1
    hashes = {content_hash(i) for i in (image, other, image.reshape(2, 8, 1), image[:2])}
    assert len(hashes) == 4


def test_shares_are_about_what_was_asked_for() -> None:
    counts = Counter(split_of(content, val=0.15, test=0.2) for content in contents(20_000))
    assert counts["test"] / 20_000 == pytest.approx(0.2, abs=0.01)
    assert counts["val"] / 20_000 == pytest.approx(0.15, abs=0.01)
    assert set(counts) == set(SPLITS)


def test_a_larger_val_never_takes_from_test_and_a_larger_test_never_gives_back() -> None:
    for content in contents(2_000):
        before = split_of(content, val=0.1, test=0.2)
        assert (split_of(content, val=0.3, test=0.2) == "test") == (before == "test")
        if before == "test":
            assert split_of(content, val=0.1, test=0.3) == "test"


def test_the_first_and_the_last_hash_have_a_split() -> None:
    assert split_of("0" * 64, val=0.1, test=0.1) == "test"
    assert split_of("f" * 64, val=0.1, test=0.1) == "train"


def test_splits_do_not_depend_on_the_process() -> None:
    program = (
        "from convoy.ingestion.split import split_of; import hashlib; "
        "print(*(split_of(hashlib.sha256(str(n).encode()).hexdigest(), 0.15, 0.2) "
        "for n in range(50)))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1")
    }
    assert said == {" ".join(split_of(c, 0.15, 0.2) for c in contents(50)) + "\n"}
