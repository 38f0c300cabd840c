"""`convoy find`: a search from the command line, which changes nothing."""

from pathlib import Path

import pytest
from PIL import Image

from convoy.project import Project
from tests.terminal import convoy, git


@pytest.mark.slow
def test_a_search_ends_with_data_and_a_figure_and_leaves_all_as_it_was(
    ingested: Project, tmp_path: Path
) -> None:
    root, plot = ingested.root, tmp_path / "rates.png"
    before = (root / "params.yaml").read_bytes(), git(root, "status", "--porcelain")
    changed = ("--set", "recipes.mlp.batch_size=32", "--set", "run.seed=7")
    done = convoy(root, "find", "mlp", *changed, "--plot", str(plot), "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert (found["architecture"], found["dataset"]) == ("mlp", "digits")
    points, rate = found["rates"]["points"], found["rates"]["steepest"]
    assert 100 < len(points) <= 200 and points[0]["rate"] < rate < points[-1]["rate"]
    assert found["set"] == [f"recipes.mlp.learning_rate={rate:g}"]
    tried = [size["batch_size"] for size in found["sizes"]["tried"]]
    assert tried == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert found["sizes"]["largest"] == 1024 and found["sizes"]["ended"] == "images"
    assert found["version"] in (root / "dvc.lock").read_text()
    with Image.open(plot) as image:
        assert image.format == "PNG" and min(image.size) > 400
    assert list((root / ".convoy" / "runs").iterdir()) == []
    assert not (root / ".convoy" / "mlflow.db").exists()
    assert before == ((root / "params.yaml").read_bytes(), git(root, "status", "--porcelain"))


@pytest.mark.soak
@pytest.mark.slow
def test_for_people_it_is_two_tables_and_the_lines_to_use(project: Project, tmp_path: Path) -> None:
    """On a dataset that was never prepared."""
    plot = tmp_path / "rates.svg"
    more = {"COLUMNS": "80"}
    done = convoy(project.root, "find", "mlp", "--plot", str(plot), more=more)
    assert done.code == 0, done.err
    assert "falls fastest: the suggestion" in done.out and "the recipe's" in done.out
    assert "convoy run --architectures mlp --set recipes.mlp.learning_rate=" in done.out
    assert b"<svg" in plot.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet6",), "unknown architecture 'lenet6': did you mean 'lenet5'?"),
        (("all",), "unknown architecture 'all'"),
        (("mlp", "--dataset", "digitz"), "unknown dataset 'digitz' in params.yaml: did you mean"),
        (("mlp", "--set", "recipes.mlp.learning_rat=1"), "did you mean 'learning_rate'?"),
        (("mlp", "--plot", "rates.txt"), "--plot rates.txt: name a file that ends in .png or .svg"),
        (("mlp", "--plot", "no/rates.png"), "there is no folder no; create it first"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_before_anything_starts(
    bare: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = convoy(bare, "find", *arguments)
    assert done.code == 2
    assert words in done.sentence
    assert done.out == ""
    assert not (bare / ".convoy").exists()
