"""A part of a batch on a worker, without a cluster: what travels, what comes back, what is refused.

The worker is another folder of the same code, as a clone of whoever ordered is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from convoy import digests, registry
from convoy.errors import ConvoyError, NotReproducible
from convoy.pipeline import portion, scoring
from convoy.pipeline.portion import Portion, Rows
from convoy.pipeline.workplace import Place, end_programs
from convoy.project import Project
from tests.registrations import registered_once

pytestmark = [
    pytest.mark.slow,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@dataclass(frozen=True)
class Given:
    """A batch's one order, as it has travelled, and where its rows go."""

    project: Project
    worker: Project
    order: Portion
    output: Path


@pytest.fixture(scope="module")
def given(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("portion") / "project"
        project, client, _ = registered_once(root, tiny, tmp_path_factory, patch)
        photos = root / "photos"
        photos.mkdir()
        for number in range(3):
            Image.new("L", (20, 20), 40 * number).save(photos / f"{number}.png")
        (photos / "broken.png").write_bytes(b"no picture")
        base = project.state / "scores" / "digits-1"
        (base / "parts").mkdir(parents=True)
        files = [
            (str(file), digests.file(file)) for file in scoring.resolve(project.root, ["photos"])
        ]
        chosen = registry.version(client, "digits", "1")
        due = scoring.Due(project, client.tracking_uri, chosen, base, files)
        ((output, order),) = portion.portions(due).items()
        worker = Project(tmp_path_factory.mktemp("worker"))
        travelled = Portion.model_validate(json.loads(json.dumps(order.model_dump())))
        assert travelled == order
        yield Given(project, worker, travelled, output)
        end_programs()


@pytest.fixture(scope="module")
def rows(given: Given) -> Rows:
    told = portion.carry_out(given.order, given.worker, Place())
    return Rows.model_validate(json.loads(json.dumps(told.model_dump())))


def test_the_rows_that_come_back_are_those_that_are_predicted_here(
    given: Given, rows: Rows
) -> None:
    assert portion.receive(given.order, rows, given.output) == 4
    ordered = scoring.score(given.project, "digits/1", ["photos"], "ordered.csv", "csv")
    assert (ordered.predicted, ordered.kept, ordered.refused) == (0, 4, 1)
    given.output.unlink()
    here = scoring.score(given.project, "digits/1", ["photos"], "here.csv", "csv")
    assert here.predicted == 4
    assert Path(here.output).read_bytes() == Path(ordered.output).read_bytes()
    assert rows.worker.count(":") >= 2 and rows.seconds > 0


def test_rows_of_other_files_are_not_kept(given: Given, rows: Rows, tmp_path: Path) -> None:
    fewer = rows.model_copy(update={"text": "".join(rows.text.splitlines(keepends=True)[1:])})
    with pytest.raises(ConvoyError, match="has sent rows of other files than it was given"):
        portion.receive(given.order, fewer, tmp_path / "part.jsonl")
    assert not (tmp_path / "part.jsonl").exists()


def test_a_worker_that_does_not_see_a_file_or_sees_another_says_which(
    given: Given, tmp_path: Path
) -> None:
    (_, sha256), *_ = given.order.files
    absent, other = tmp_path / "absent.png", tmp_path / "other.png"
    other.write_bytes(b"another file")
    for file, words in ((absent, "cannot be read on the worker"), (other, "is another file on")):
        order = given.order.model_copy(update={"files": ((str(file), sha256),)})
        with pytest.raises(NotReproducible) as refused:
            portion.carry_out(order, given.worker, Place())
        assert str(refused.value).startswith(f"{file} {words}")
        assert "in a folder that all workers see" in str(refused.value)


def test_a_worker_with_other_code_predicts_nothing(given: Given) -> None:
    order = given.order.model_copy(update={"code": "another"})
    with pytest.raises(NotReproducible, match=r"has other code or libraries .*check that commit"):
        portion.carry_out(order, given.worker, Place())


def test_an_order_holds_what_it_is_to_hold_and_no_password(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Portion.model_validate({**given.order.model_dump(), "callback": "os.system"})
    chosen = registry.Registered("digits", "1", (), "", 0, {})
    due = scoring.Due(given.project, "", chosen, given.output.parents[1], given.order.files)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow.example.org")
    (order,) = portion.portions(due).values()
    assert order.tracking_uri == "https://mlflow.example.org"
    assert "secret" not in order.model_dump_json()
