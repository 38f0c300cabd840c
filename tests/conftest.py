"""What several tests share: a temporary project, a tiny prepared dataset, quiet PyTorch."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from convoy import environment, store, versions
from convoy.project import Project

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that these tests belong to; never written to."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def _no_store_of_another_test() -> Iterator[None]:
    """MLflow keeps the address that it was told last for all of a process."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


Once = Callable[[str, Callable[[Path], None]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests: no process is then left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Return a maker of folders that all processes of a test run share, each made by one alone."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = shared / "once" / name, shared / "once" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                # In its own place, which a store's paths point into.
                shutil.rmtree(folder, ignore_errors=True)
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def _clone(once: Once) -> Path:
    """A commit of the files as they stand here, without what Git ignores: data and state."""
    return once("clone", _commit_a_copy)


def _commit_a_copy(root: Path) -> None:
    root.mkdir()
    listed = _git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    _git(root, "init", "--quiet", "--initial-branch=main")
    _git(root, "config", "user.name", "A Tester")
    _git(root, "config", "user.email", "tester@example.invalid")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", "A copy for tests")


@pytest.fixture(scope="session")
def _ingested(_clone: Path, once: Once) -> Path:
    """The clone after its first ingest."""

    def ingest(root: Path) -> None:
        shutil.copytree(_clone, root)
        with pytest.MonkeyPatch.context() as patch:
            versions.ingest(_entered(Project(root), patch), "digits")

    return once("ingested", ingest)


@pytest.fixture(scope="session")
def _ready(_ingested: Path, once: Once) -> Path:
    """The same with the empty databases of MLflow and Prefect, which take longest to come to be."""

    def create(root: Path) -> None:
        shutil.copytree(_ingested, root)
        with pytest.MonkeyPatch.context() as patch:
            store.connect(_entered(Project(root), patch))
            upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            subprocess.run(upgrade, check=True, capture_output=True)

    return once("ready", create)


@pytest.fixture
def project(_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A fresh clone of this repository: no data, an empty `.convoy/`, its own environment.

    Programs that a test starts run the clone's code, and all their state is the clone's.
    """
    shutil.copytree(_clone, tmp_path / "project")
    return _entered(Project(tmp_path / "project"), monkeypatch)


@pytest.fixture
def ingested(_ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A clone as `project` gives it, with the digits ingested and pushed to its remote."""
    shutil.copytree(_ingested, tmp_path / "project")
    return _entered(Project(tmp_path / "project"), monkeypatch)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The first 400 digits at 8 x 8 pixels, prepared: the files of a dataset version by name."""
    from convoy.ingestion.prepare import files_of, prepare
    from convoy.settings import Dataset
    from tests.ingestion.animals import CHECKS

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "raw").mkdir()
    first_digits(folder / "raw" / "digits.csv.gz", 400)
    settings = Dataset(
        source="digits", model="tiny", channels="gray", image_size=8, val=0.2, test=0.2
    )
    raw, prepared, reports = (folder / name for name in ("raw", "prepared", "reports"))
    prepare("tiny", settings, CHECKS, raw, prepared, reports)
    return files_of(prepared)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: sums in one order, so that two runs are equal bit for bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def first_digits(file: Path, rows: int) -> None:
    """Write the first rows of scikit-learn's digits as its own file is written."""
    package = find_spec("sklearn")
    assert package and package.origin
    shipped = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    lines = gzip.decompress(shipped.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[:rows]), mtime=0))


def _entered(project: Project, patch: pytest.MonkeyPatch) -> Project:
    project.create_state()
    for name, value in environment.embedded(project).items():
        patch.setenv(name, value)
    patch.setenv("PYTHONPATH", f"{project.root / 'src'}{os.pathsep}{project.root}")
    patch.chdir(project.root)
    return project


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
