"""The commands that a person wants after a run, each in its form for people and for programs."""

from pathlib import Path

import pytest

from tests.terminal import convoy

pytestmark = pytest.mark.slow


def test_models_lists_the_version_with_its_stamps(served: Path) -> None:
    (found,) = convoy(served, "models", "--json").json()
    assert (found["name"], found["version"], found["aliases"]) == ("digits", "1", ["champion"])
    assert found["tags"]["convoy.architecture"] == "mlp"


def test_history_tells_who_served_and_why(served: Path) -> None:
    (entry,) = convoy(served, "history", "digits", "--json").json()
    assert (entry["action"], entry["version"], entry["previous"]) == ("promote", "1", None)
    assert entry["state"] == "done" and "no champion yet" in entry["reason"]


def test_compare_gives_the_last_runs_and_the_address_of_their_page(served: Path) -> None:
    done = convoy(served, "compare", "--json", more={"CONVOY_MLFLOW_PORT": "5055"})
    found = done.json()
    (run,) = found["runs"]
    assert run["name"] == "mlp" and run["metrics"]["test/accuracy"] > 0.5
    assert found["address"].startswith("http://127.0.0.1:5055/#/compare-runs?runs=")
    assert run["run_id"] in found["address"]
    shown = convoy(served, "compare")
    assert shown.code == 0 and shown.err == "" and "mlp" in shown.out


def test_predict_says_what_it_sees_and_nothing_else(served: Path) -> None:
    done = convoy(served, "predict", "digits@champion", ".convoy/samples/digits", "--json")
    assert done.code == 0 and done.err == ""
    answers = {Path(found["file"]).stem: found["label"] for found in done.json()}
    assert len(answers) == 10
    right = [label for name, label in answers.items() if int(name) == int(label)]
    assert len(right) >= 5, "four epochs are enough for most of them"
