"""From what serves back to its data and code, and the way again after both have moved on."""

import gzip
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.flows.conftest import NewProject
from tests.terminal import convoy, git

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def made(new_project: NewProject) -> tuple[Path, dict[str, Any]]:
    """A project after one run of one network, and what it said."""
    root = new_project("lineage")
    done = convoy(root, "run", "--json", "--architectures", "mlp", "--set", "run.seed=5")
    assert done.code == 0, done.err
    return root, done.json()


def test_version_run_data_and_image_lead_to_the_same_chain(
    made: tuple[Path, dict[str, Any]],
) -> None:
    root, run = made
    drawing = root / ".convoy" / "lineage.svg"
    found = convoy(root, "lineage", "digits@champion", "--json", "--svg", str(drawing)).json()
    (chain,) = found["chains"]
    assert chain["commit"] == git(root, "rev-parse", "HEAD") and not chain["dirty"]
    assert chain["dataset_version"] == run["dataset_version"]
    assert chain["run_id"] == run["rows"][0]["run_id"]
    assert chain["flow_run"] and chain["settings"]["seed"] == "5"
    assert [entry["version"] for entry in chain["promotions"]] == ["1"]
    image = _first_digit(root)
    for target in (chain["run_id"], run["dataset_version"].removesuffix(".dir"), str(image)):
        assert convoy(root, "lineage", target, "--json").json()["chains"] == [chain]
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")


def test_a_version_is_made_again_bit_for_bit_after_code_and_data_have_moved_on(
    made: tuple[Path, dict[str, Any]],
) -> None:
    root, run = made
    _move_on(root)
    assert run["dataset_version"] not in (root / "dvc.lock").read_text()
    before = git(root, "status", "--porcelain")
    done = convoy(root, "reproduce", "digits@champion", "--deterministic", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert found["equal"] and found["weights"] == found["weights_now"]
    assert found["accuracy_now"] == pytest.approx(found["accuracy"], abs=1e-9)
    assert found["recorded"] and found["differs"] == {}
    assert git(root, "status", "--porcelain") == before
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_it_is_made_again_after_all_that_nothing_leads_to_was_collected(
    made: tuple[Path, dict[str, Any]],
) -> None:
    """Behind the test before, whose own training is garbage by now."""
    root, _ = made
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["gc"] = {"champions": 1, "days": 0}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    collected = convoy(root, "gc", "--yes", "--json")
    assert collected.code == 0, collected.err
    done = convoy(root, "reproduce", "digits@champion", "--deterministic", "--json")
    assert done.code == 0, done.err
    assert done.json()["equal"]


def _first_digit(root: Path) -> Path:
    """Write the first image of the raw data as a file."""
    rows = gzip.decompress((root / "data/raw/digits/digits.csv.gz").read_bytes()).splitlines()
    counts = np.array(rows[0].split(b",")[:64], np.float64).reshape(8, 8)
    file = root / ".convoy" / "digit.png"
    Image.fromarray(np.round(counts * 255 / 16).astype(np.uint8)).save(file)
    return file


def _move_on(root: Path) -> None:
    """Commit other code, other recipes and fewer images; empty the cache, not the remote."""
    code = root / "src/convoy/architectures/mlp.py"
    code.write_text(code.read_text() + "\nVARIANTS = {}\n")
    git(root, "commit", "--quiet", "--all", "--message", "Break the network")
    code.write_text(git(root, "show", "HEAD~1:src/convoy/architectures/mlp.py") + "\n")
    raw = root / "data/raw/digits/digits.csv.gz"
    rows = gzip.decompress(raw.read_bytes()).splitlines(keepends=True)
    raw.chmod(0o644)
    raw.write_bytes(gzip.compress(b"".join(rows[:-100]), mtime=0))
    done = convoy(root, "data", "check", "digits")
    assert done.code == 0, done.err
    git(root, "commit", "--quiet", "--all", "--message", "Fewer images")
    for file in (root / ".convoy/dvc-cache/files/md5").glob("*/*"):
        file.chmod(0o644)
        file.unlink()
