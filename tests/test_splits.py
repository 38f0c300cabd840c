"""Splits come from content: nothing else can move an image."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from convoy.splits import SPLITS, at, position, split_of


def contents(count: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(count)]


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
    assert split_of(bytes(32), val=0.1, test=0.1) == "test"
    assert split_of(b"\xff" * 32, val=0.1, test=0.1) == "train"


def test_test_lies_lowest_then_val_then_train() -> None:
    found = [at(place / 100, val=0.15, test=0.2) for place in range(100)]
    assert found == ["test"] * 20 + ["val"] * 15 + ["train"] * 65


def test_a_share_of_nothing_gives_nothing() -> None:
    assert {split_of(content, val=0.0, test=0.0) for content in contents(500)} == {"train"}
    assert at(0.0, val=0.0, test=0.0) == "train"


def test_positions_lie_between_nought_and_one_in_the_order_of_the_contents() -> None:
    found = [position(content) for content in sorted(contents(1000))]
    assert found == sorted(found)
    assert 0 <= found[0] < 0.01 and 0.99 < found[-1] <= 1
    assert position(bytes(32)) == 0.0


def test_splits_do_not_depend_on_the_process() -> None:
    program = (
        "from convoy.splits import split_of; import hashlib; "
        "print(*(split_of(hashlib.sha256(str(n).encode()).digest(), 0.15, 0.2) "
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
