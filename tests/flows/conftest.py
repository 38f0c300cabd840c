"""One story, told once a session through the real command line; each test reads a chapter of it.

A chapter is a fixture that depends on the one before, so that any test can be run alone.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import yaml

from convoy.files import write_json
from tests.clones import copy_of
from tests.conftest import Once
from tests.offline import without_network
from tests.terminal import Done, convoy, git

NewProject = Callable[..., Path]


@dataclass(frozen=True)
class Chapter:
    """A command in the story's project, and what Git said after it."""

    root: Path
    done: Done
    changes: str


@pytest.fixture(scope="session")
def new_project(_clone: Path, _ready: Path, tmp_path_factory: pytest.TempPathFactory) -> NewProject:
    """Return a maker of clones with short recipes, committed; `fresh`: nothing else is there yet.

    Otherwise the digits are ingested and the databases empty: that story is told once.
    """

    def make(name: str, fresh: bool = False) -> Path:
        root = tmp_path_factory.mktemp(name) / "project"
        shutil.copytree(_clone if fresh else _ready, root)
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["run"]["architectures"] = ["mlp", "lenet5"]
        for architecture in ("mlp", "lenet5"):
            params["recipes"][architecture]["epochs"] = 4
        params["evaluation"]["robustness"] = 8  # each image is scored 35 times
        # A few epochs leave a network unsure of itself.
        params["gate"] |= {"floor": 0.8, "class_floor": 0.0, "calibration": 1.0}
        # In the file's order: dvc.lock records a dataset's values as they stand there.
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        git(root, "commit", "--quiet", "--all", "--message", "Short recipes")
        return root

    return make


@pytest.fixture(scope="session")
def first(new_project: NewProject, once: Once) -> Chapter:
    """The first run in a fresh clone, without a network where this user may take it away.

    All tests share it, those of other processes too, and leave it as it is.
    """

    def run(folder: Path) -> None:
        root = new_project("story", fresh=True)
        chapter = _run(shutil.copytree(root, folder / "project"), before=without_network())
        write_json(folder / "done.json", asdict(chapter.done))
        (folder / "changes").write_text(chapter.changes)

    folder = once("first", run)
    done = Done(**json.loads((folder / "done.json").read_text()))
    return Chapter(folder / "project", done, (folder / "changes").read_text())


@pytest.fixture(scope="session")
def second(first: Chapter, tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    """The same command again, in its form for people; from here on the story goes its own way."""
    root = copy_of(first.root, tmp_path_factory.mktemp("second") / "project")
    done = convoy(root, "run")
    return Chapter(root, done, git(root, "status", "--porcelain"))


@pytest.fixture(scope="session")
def commented(second: Chapter) -> Chapter:
    """After comments in a file that decides the results and in one that does not."""
    for name in ("src/convoy/architectures/lenet.py", "src/convoy/up.py"):
        file = second.root / name
        file.write_text(f"# a new comment\n{file.read_text()}# and another\n")
    return _run(second.root)


@pytest.fixture(scope="session")
def refused(commented: Chapter) -> Chapter:
    """With a training that cannot come to anything."""
    worse = ("recipes.mlp.epochs=1", "recipes.mlp.learning_rate=1.0e-6")
    return _run(commented.root, "--architectures", "mlp", "--set", worse[0], "--set", worse[1])


@pytest.fixture(scope="session")
def tuned(refused: Chapter) -> Chapter:
    """With one value of one recipe changed."""
    return _run(refused.root, "--set", "recipes.mlp.weight_decay=1.0e-3")


@pytest.fixture(scope="session")
def recoded(tuned: Chapter) -> Chapter:
    """After a change to a line of LeNet's code."""
    file = tuned.root / "src/convoy/architectures/lenet.py"
    code = file.read_text()
    line = "self.act(self.f6(features))"
    assert line in code
    file.write_text(code.replace(line, "(self.act(self.f6(features)) * 1.0)"))
    return _run(tuned.root)


@pytest.fixture(scope="session")
def shrunk(recoded: Chapter) -> Chapter:
    """After the last rows of the raw data were taken away."""
    file = recoded.root / "data/raw/digits/digits.csv.gz"
    rows = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.chmod(0o644)
    file.write_bytes(gzip.compress(b"".join(rows[:-100]), mtime=0))
    return _run(recoded.root)


def _run(root: Path, *arguments: str, before: Sequence[str] = ()) -> Chapter:
    done = convoy(root, "run", "--json", *arguments, before=before)
    return Chapter(root, done, git(root, "status", "--porcelain"))
