"""From what serves back to its data and code, and the way again, in the story's project."""

from xml.etree import ElementTree

import pytest

from tests.flows.conftest import Chapter
from tests.terminal import convoy, git

pytestmark = pytest.mark.slow


def test_version_run_data_and_image_lead_to_the_same_chain(first: Chapter) -> None:
    run = first.done.json()
    target = f"{run['model']}/{run['version']}"
    drawing = first.root / ".convoy" / "lineage.svg"
    found = convoy(first.root, "lineage", target, "--json", "--svg", str(drawing)).json()
    (chain,) = found["chains"]
    assert chain["commit"] == git(first.root, "rev-list", "--max-parents=1", "HEAD").split()[0]
    assert chain["dataset_version"] == run["dataset_version"] and not chain["dirty"]
    assert chain["run_id"] in {row["run_id"] for row in run["rows"]}
    assert chain["flow_run"] and chain["settings"]["seed"] == "1"
    assert chain["promotions"][0]["version"] == "1"
    for other in (chain["run_id"], run["dataset_version"].removesuffix(".dir")):
        chains = convoy(first.root, "lineage", other, "--json").json()["chains"]
        assert chain in chains
    image = next((first.root / ".convoy/samples/digits").glob("*.png"))
    seen = convoy(first.root, "lineage", str(image), "--json").json()
    assert chain in seen["chains"] or seen["sightings"]
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")


def test_a_version_is_made_again_bit_for_bit_after_code_and_data_have_moved_on(
    shrunk: Chapter,
) -> None:
    before = git(shrunk.root, "status", "--porcelain")
    done = convoy(shrunk.root, "reproduce", "digits/1", "--deterministic", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert found["equal"] and found["within"] and found["recorded"]
    assert found["weights"] == found["weights_now"]
    assert found["accuracy_now"] == pytest.approx(found["accuracy"], abs=1e-9)
    assert found["differs"] == {}
    assert git(shrunk.root, "status", "--porcelain") == before
    assert len(git(shrunk.root, "worktree", "list").splitlines()) == 1


def test_what_nothing_was_made_of_is_refused(first: Chapter) -> None:
    done = convoy(first.root, "lineage", "nothing such")
    assert done.code == 2
    assert "'nothing such' is no NAME@ALIAS, NAME/VERSION, run, dataset version" in done.sentence
