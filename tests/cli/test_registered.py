"""A version is verified before it serves, and the gate is overruled only with a reason."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.terminal import Done, convoy

pytestmark = pytest.mark.slow


def tagged(root: Path, key: str, value: object) -> None:
    with closing(sqlite3.connect(root / ".convoy/mlflow.db")) as database:
        told = json.dumps(value)
        database.execute("update model_version_tags set value = ? where key = ?", (told, key))
        database.commit()


def without_champion(root: Path) -> None:
    with closing(sqlite3.connect(root / ".convoy/mlflow.db")) as database:
        database.execute("delete from registered_model_aliases")
        database.commit()


def refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done.err
    assert all(word in done.sentence for word in words), done.sentence


@pytest.mark.soak
def test_a_whole_version_is_verified_file_by_file_and_scored_again(served: Path) -> None:
    done = convoy(served, "verify", "digits@champion", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert (found["version"], found["images"]) == ("1", 348)
    assert found["files"] >= 10
    assert set(found["metrics"]) == {"test/accuracy", "test/negative_log_likelihood"}
    shown = convoy(served, "verify", "digits/1")
    assert shown.out.startswith("digits version 1 is what was registered: ") and shown.err == ""


def test_a_tampered_byte_is_named_and_the_version_is_neither_served_nor_promoted(
    mine: Path,
) -> None:
    (file,) = (mine / ".convoy/artifacts").rglob("model.pt2")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    words = ("digits version 1: data/model.pt2 is not the file that was registered",)
    refused(convoy(mine, "verify", "digits@champion"), 4, *words)
    refused(convoy(mine, "predict", "digits@champion", ".convoy/samples/digits"), 4, *words)
    without_champion(mine)
    for force in ((), ("--force", "--reason", "in a hurry")):
        refused(convoy(mine, "promote", "digits", "1", *force), 4, *words)
    told = convoy(mine, "history", "digits", "--json").json()
    assert [entry["action"] for entry in told] == ["promote", "noticed"], "and nothing since"


def test_other_scores_than_the_logged_ones_are_told(mine: Path) -> None:
    with closing(sqlite3.connect(mine / ".convoy/mlflow.db")) as database:
        change = "update latest_metrics set value = value - 0.01 where key = 'test/accuracy'"
        database.execute(change)
        database.commit()
    done = convoy(mine, "verify", "digits@champion")
    refused(done, 6, "test/accuracy is 0.", "on 348 images", "but its run logged 0.")


def test_the_gate_is_overruled_only_by_force_and_with_a_reason(mine: Path) -> None:
    without_champion(mine)
    said = {"allowed": False, "reasons": ["too slow"], "sentence": "Version 1 is too slow."}
    tagged(mine, "convoy.verdict", said)
    refused(convoy(mine, "promote", "digits", "1"), 5, "the gate refused digits version 1")
    refused(convoy(mine, "promote", "digits", "1", "--force"), 2, "--force needs --reason")
    done = convoy(mine, "promote", "digits", "1", "--force", "--reason", "we need it", "--json")
    assert done.code == 0, done.err
    assert done.json()["reason"] == "forced against the gate's verdict: we need it"
