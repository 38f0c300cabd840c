"""A batch on a real cluster of several worker processes, one of them killed in the middle."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from convoy.project import Project
from tests.flows.conftest import NewProject
from tests.registrations import registered_once
from tests.terminal import environment

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

FILES = 1300
PARTS = 6
ENGINE = {"CONVOY_ENGINE": "dask:2"}
FLOW = """
import json, sys
from convoy import environment
from convoy.project import Project

if __name__ == "__main__":
    project = Project.find()
    environment.apply(project)
    project.create_state()
    from convoy.prefect_server import PrefectServer
    server = PrefectServer(project.state / "prefect-server.log")
    from flows.score import score
    server.wait()
    table, model, photos = sys.argv[1:]
    print(json.dumps(score(model, [photos], table)))
"""
"""What the runner of `convoy up` does with the flow, in a process of its own."""


@dataclass(frozen=True)
class Scored:
    """How a batch ended."""

    code: int
    out: str
    err: str

    @property
    def found(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        result: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return result


@dataclass(frozen=True)
class Killed:
    """A batch on two workers, one of which was killed in the middle of a part."""

    project: Project
    before: int
    """Parts that lay there at that moment."""
    scored: Scored
    orphans: list[str]

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.project.root / table).open(newline="") as stream:
            return list(csv.DictReader(stream))

    def parts(self) -> list[Path]:
        return parts(self.project)


@pytest.fixture(scope="module")
def killed(
    new_project: NewProject, tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killed]:
    with pytest.MonkeyPatch.context() as patch:
        root = new_project("batch")
        project, _, _ = registered_once(root, tiny, tmp_path_factory, patch)
    photos = root / "photos"
    photos.mkdir()
    for number in range(FILES):
        colour = number % 256, number // 256, 7
        Image.new("RGB", (160, 160), colour).save(photos / f"{number:04}.png")
    (photos / "broken.png").write_bytes(b"no picture")
    log = root.parent / "output"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, script(root), "killed.csv", "digits/1", "photos"],
            cwd=root,
            env=environment(root, ENGINE),
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        worker = at_work(process, project, log)
        family = psutil.Process(process.pid).children(recursive=True)
        before = len(parts(project))
        os.kill(worker, signal.SIGKILL)
        out, _ = process.communicate(timeout=400)
    _, left = psutil.wait_procs(family, timeout=15)
    orphans = [" ".join(one.cmdline()) for one in left]
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    yield Killed(project, before, Scored(process.returncode, out, log.read_text()), orphans)


def script(root: Path) -> str:
    file = root.parent / "flow.py"
    file.write_text(FLOW)
    return str(file)


def at_work(process: "subprocess.Popen[str]", project: Project, log: Path) -> int:
    """Return the worker whose program predicts at this moment, once some parts have come back."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        if parts(project):
            for one in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    parent = one.parent()
                    preloaded = "convoy.programs.preloaded" in " ".join(one.cmdline())
                    if preloaded and parent and parent.pid != process.pid and one.children():
                        return int(parent.pid)
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def parts(project: Project) -> list[Path]:
    return sorted((project.state / "scores" / "digits-1" / "parts").glob("*.jsonl"))


def scored(root: Path, table: str, model: str, photos: str, more: dict[str, str]) -> Scored:
    """Run the flow to its end."""
    done = subprocess.run(
        [sys.executable, script(root), table, model, photos],
        cwd=root,
        env=environment(root, more),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return Scored(done.returncode, done.stdout, done.stderr)


def run_again(killed: Killed, table: str, more: dict[str, str]) -> Scored:
    return scored(killed.project.root, table, "digits/1", "photos", more)


def test_a_batch_whose_worker_was_killed_comes_to_its_end(killed: Killed) -> None:
    found = killed.scored.found
    assert 0 < killed.before < PARTS, "it was killed in the middle"
    assert (found["files"], found["predicted"], found["kept"]) == (FILES + 1, FILES + 1, 0)
    assert found["refused"] == 1 and "broken.png" in found["refusals"][0]
    assert killed.orphans == []


def test_each_file_has_one_row_in_the_parts_and_in_the_table(killed: Killed) -> None:
    kept = killed.parts()
    assert len(kept) == PARTS
    lines = [json.loads(line) for part in kept for line in part.read_text().splitlines()]
    assert set(Counter(row["file"] for row in lines).values()) == {1}
    table = killed.rows("killed.csv")
    assert [Path(row["file"]).name for row in table] == [
        *(f"{number:04}.png" for number in range(FILES)),
        "broken.png",
    ]


def test_a_batch_that_is_run_again_orders_the_parts_alone_that_are_missing(killed: Killed) -> None:
    gone = killed.parts()[3]
    lost = len(gone.read_text().splitlines())
    gone.unlink()
    found = run_again(killed, "again.csv", ENGINE).found
    assert (found["predicted"], found["kept"]) == (lost, FILES + 1 - lost)
    assert killed.rows("again.csv") == killed.rows("killed.csv")


def test_the_table_is_the_one_that_is_made_without_an_engine(killed: Killed) -> None:
    for part in killed.parts():
        part.unlink()
    found = run_again(killed, "alone.csv", {}).found
    assert (found["predicted"], found["kept"]) == (FILES + 1, 0)
    assert killed.rows("alone.csv") == killed.rows("killed.csv")
