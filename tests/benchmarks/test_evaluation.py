"""The benchmark of evaluation: both sides of it compute the same metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation import made_up, ours, peer, spec_of

Sides = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    """What either side says of a few images of noise, and what ours left in its file."""
    folder = tmp_path_factory.mktemp("benchmark")
    file = spec_of(made_up(folder / "data", 600), folder / "training")
    spec = json.loads(file.read_text())
    measured, theirs = ours(spec), peer(spec, replicates=3)
    left = json.loads((Path(spec["folder"]) / "evaluation.json").read_text())
    return measured, theirs, left


def test_what_is_timed_is_a_whole_evaluation_and_the_peer_finds_the_same(sides: Sides) -> None:
    measured, theirs, left = sides
    evaluation = left["evaluation"]
    assert measured["accuracy"] == evaluation["accuracy"]
    for name, value in theirs["metrics"].items():
        assert evaluation[name] == pytest.approx(value, abs=1e-5), name
        assert name in evaluation["intervals"]
    assert not set(left["missing"]) - {"cost/joules_per_image"}


def test_seconds_and_memory_are_measured(sides: Sides) -> None:
    measured, theirs, _ = sides
    assert measured["seconds"] > 0 and measured["peak_mib"] > 10
    assert theirs["replicate"] > 0 and theirs["once"] > 0
