"""The whole pipeline where the champion trained on what is tested now: found, left out, told."""

import json
from pathlib import Path

import pytest
import yaml

from convoy import versions
from convoy.project import Project
from tests.flows.conftest import NewProject
from tests.flows.test_pipeline import client_of
from tests.terminal import convoy, git

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


def test_images_that_moved_into_test_are_left_out_of_the_comparison(
    new_project: NewProject,
) -> None:
    root = new_project("seen")
    arguments = ("run", "--json", "--architectures", "mlp")
    first = convoy(root, *arguments)
    assert first.code == 0, first.err
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["datasets"]["digits"]["test"] = 0.35
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "--quiet", "--all", "--message", "More to test on")
    second = convoy(root, *arguments)
    assert second.code in (0, 5), second.err
    client = client_of(root)
    verdict = json.loads(client.get_model_version("digits", "2").tags["convoy.verdict"])
    evidence = verdict["numbers"]["evidence"]
    tested = [count_tested(root, run.json()["dataset_version"]) for run in (first, second)]
    # A share by content hash only grows: the former test images are all still tested.
    left_out = tested[1] - tested[0]
    assert left_out > 100
    assert evidence["against"]["left_out"] == left_out
    assert evidence["images"] == tested[0]
    if second.code == 0:  # a refusal names what failed alone, and has the rest in its numbers
        said = f"{left_out} test images that it trained on were left out"
        assert said in verdict["reasons"]


def count_tested(root: Path, version: str) -> int:
    """Return how many test images a dataset version has."""
    counts = versions.stored(Project(root), "digits", version).manifest["counts"]
    return sum(counts["test"].values())
