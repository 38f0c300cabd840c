"""A batch of files is predicted once for each version of a file, and goes on after a kill."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet  # type: ignore[import-untyped]

from convoy.errors import DataRefused, UsageError
from convoy.pipeline import scoring
from convoy.project import Project
from tests.registrations import registered_once

pytestmark = [
    pytest.mark.slow,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def project(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with one registered network, and six pictures of which one is none."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("scoring") / "project"
        project, _, _ = registered_once(root, tiny, tmp_path_factory, patch)
        (root / "photos" / "more").mkdir(parents=True)
        for number in range(5):
            folder = root / "photos" / ("more" if number % 2 else "")
            Image.new("L", (20, 20), 40 * number).save(folder / f"{number}.png")
        (root / "photos" / "broken.png").write_bytes(b"no picture")
        yield project


def rows(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_file_is_predicted_once_and_one_that_changed_again(project: Project) -> None:
    first = scoring.score(project, "digits/1", ["photos"], None, "csv")
    assert (first.files, first.predicted, first.kept, first.refused) == (6, 6, 0, 1)
    assert sum(count for count, _ in first.classes.values()) == 5
    assert len(first.refusals) == 1 and "broken.png" in first.refusals[0]
    table = rows(first.output)
    assert [Path(row["file"]).name for row in table] == sorted(
        ["0.png", "2.png", "4.png", "broken.png", "1.png", "3.png"],
        key=lambda name: ("more/" if name in ("1.png", "3.png") else "") + name,
    )
    assert all(
        row["label"] and 0 < float(row["probability"]) <= 1 for row in table if not row["refused"]
    )
    again = scoring.score(project, "digits@1", ["photos"], None, "csv")
    assert (again.predicted, again.kept) == (0, 6)
    assert rows(again.output) == table
    Image.new("L", (20, 20), 250).save(project.root / "photos" / "0.png")
    changed = scoring.score(project, "digits/1", ["photos"], None, "parquet")
    assert (changed.predicted, changed.kept) == (1, 5)
    assert parquet.read_table(changed.output).num_rows == 6
    assert changed.output.endswith("predictions.parquet")


@pytest.mark.soak
def test_a_batch_that_was_cut_off_goes_on_after_its_last_part(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = project.state / "scores" / "digits-1"
    shutil.rmtree(base, ignore_errors=True)
    monkeypatch.setattr(scoring, "PART", 2)
    whole = scoring.score(project, "digits/1", ["photos"], None, "csv")
    parts = sorted((base / "parts").glob("*.jsonl"))
    assert (whole.predicted, len(parts)) == (6, 3)
    table = rows(whole.output)
    parts[1].unlink()
    (base / "parts" / f".{parts[1].name}.123").write_text('{"file": "half')  # as a kill leaves it
    rest = scoring.score(project, "digits/1", ["photos"], None, "csv")
    assert (rest.predicted, rest.kept) == (2, 4)
    assert rows(rest.output) == table


def test_patterns_and_doubles_name_each_file_once(project: Project) -> None:
    found = list(scoring.resolve(project.root, ["photos/**/*.png", "photos/more", "photos/1*"][:2]))
    assert len(found) == len(set(found)) == 6
    for path, words in (
        ("nowhere", "no such file or folder"),
        ("photos/*.jpg", "no file has such"),
    ):
        with pytest.raises(DataRefused, match=words):
            list(scoring.resolve(project.root, [path]))


def test_an_unknown_model_and_a_folder_that_is_not_there_are_named(project: Project) -> None:
    with pytest.raises(UsageError, match="no version or alias 'champoin'"):
        scoring.score(project, "digits@champoin", ["photos"], None, "csv")
    with pytest.raises(UsageError, match="there is no folder"):
        scoring.score(project, "digits/1", ["photos"], "nowhere/table.csv", "csv")
