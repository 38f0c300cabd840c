"""Workers that share no folder with the run: own clones, MLflow over HTTP, DVC's remote."""

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.flows.conftest import NewProject
from tests.flows.test_engine import trainings_in
from tests.flows.test_engine_score import scored
from tests.servers import free_port, mlflow_server, stop
from tests.terminal import Done, convoy, environment, git

# A run, its servers and two workers that load PyTorch: some minutes.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

COMMAND = ("run", "--json", "--deterministic")


@dataclass(frozen=True)
class Elsewhere:
    """A run that two workers in other folders trained for, and the next run without them."""

    root: Path
    clones: list[Path]
    tracking: str
    artifacts: Path
    first: Done
    otherwise: Done
    """With a worker at another commit."""
    batch: list[dict[str, str]]
    """What the workers predict of the samples, a row a file."""
    batch_here: list[dict[str, str]]
    """The same without workers."""
    again: Done
    """The first run's command in a fresh clone, alone: everything has been trained elsewhere."""


@pytest.fixture(scope="module")
def elsewhere(
    new_project: NewProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elsewhere]:
    base = tmp_path_factory.mktemp("elsewhere")
    root = new_project("orders")
    config = root / ".dvc" / "config"
    config.write_text(config.read_text().replace("../.convoy/dvc-remote", str(base / "remote")))
    git(root, "commit", "--quiet", "--all", "--message", "A remote that all reach")
    clones = [base / f"clone{number}" for number in range(2)]
    for clone in clones:
        git(root, "clone", "--quiet", str(root), str(clone))
    with ExitStack() as stack:
        folder = base / "mlflow"
        tracking = stack.enter_context(mlflow_server(folder, f"sqlite:///{base / 'mlflow.db'}"))
        more = {"MLFLOW_TRACKING_URI": tracking, "NO_PROXY": "127.0.0.1"}
        with cluster(clones, base, more) as address:
            engine = {**more, "CONVOY_ENGINE": address}
            first = convoy(root, *COMMAND, more=engine)
            batch = rows_of_samples(root, "elsewhere.csv", engine)
            for clone in clones:
                code = clone / "src/convoy/architectures/lenet.py"
                changed = code.read_text().replace(
                    "self.act(self.f6(features))", "self.f6(features)"
                )
                code.write_text(changed)
        with cluster(clones, base, more) as address:
            engine = {**more, "CONVOY_ENGINE": address}
            otherwise = convoy(root, *COMMAND, "--set", "run.seed=9", more=engine)
        fresh = base / "fresh"
        git(root, "clone", "--quiet", str(root), str(fresh))
        # An engine that is never asked, as nothing is left to train.
        again = convoy(fresh, *COMMAND, more={**more, "CONVOY_ENGINE": "dask:1"})
        shutil.rmtree(root / ".convoy" / "scores")
        batch_here = rows_of_samples(root, "here.csv", more)
        told = (root, clones, tracking, folder / "artifacts", first, otherwise)
        yield Elsewhere(*told, batch, batch_here, again)


def rows_of_samples(root: Path, table: str, more: dict[str, str]) -> list[dict[str, str]]:
    """Predict the samples with the first version; return the rows of the table."""
    done = scored(root, table, "digits/1", str(root / ".convoy/samples/digits"), more)
    assert done.code == 0, done.err
    with (root / table).open(newline="") as stream:
        return list(csv.DictReader(stream))


@contextmanager
def cluster(clones: list[Path], base: Path, more: dict[str, str]) -> Iterator[str]:
    """A scheduler and a worker in each clone, as people start them."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    worker = ("worker", address, "--nthreads", "1", "--preload", "flows.worker", "--no-dashboard")
    with ExitStack() as stack, (base / "dask.log").open("a") as log:
        for place, command in ((clones[0], scheduler), *((clone, worker) for clone in clones)):
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=place,
                env=environment(place, more),
                stdout=log,
                stderr=log,
            )
            stack.callback(stop, process)
            time.sleep(1)
        yield address


def test_the_trainings_ran_in_the_clones_and_the_run_has_their_files(elsewhere: Elsewhere) -> None:
    assert elsewhere.first.code == 0, elsewhere.first.err
    found = elsewhere.first.json()
    assert (found["version"], found["alias"]) == ("1", "champion")
    client = MlflowClient(elsewhere.tracking)
    for name in ("mlp", "lenet5"):
        (run,) = [r for r in trainings_in(client, name) if r.data.params["seed"] != "9"]
        assert run.info.status == "FINISHED"
        folder = f".convoy/runs/{run.data.tags['convoy.key'][:32]}"
        made = [clone for clone in elsewhere.clones if (clone / folder / "last.ckpt").exists()]
        made += [clone for clone in elsewhere.clones if (clone / folder / "log.txt").exists()]
        assert made, "a clone trained it"
        for file in ("model.safetensors", "predictions.npz", "evaluation.json", "result.json"):
            mine = (elsewhere.root / folder / file).read_bytes()
            assert mine == (made[-1] / folder / file).read_bytes(), file


def test_the_clones_took_the_dataset_from_the_remote(elsewhere: Elsewhere) -> None:
    for clone in elsewhere.clones:
        assert not (clone / "data" / "raw" / "digits").exists()
        assert not (clone / "data" / "prepared" / "digits").exists()
        changed = git(clone, "status", "--porcelain").splitlines()
        assert changed == ["M src/convoy/architectures/lenet.py"], "nothing but the test's own"


def test_a_worker_at_another_commit_is_refused_with_the_mend(elsewhere: Elsewhere) -> None:
    assert elsewhere.otherwise.code == 4, elsewhere.otherwise.err
    last = elsewhere.otherwise.err.strip().splitlines()[-1]
    assert "has other code or libraries" in last and "check that commit out there" in last


def test_the_clones_predicted_a_batch_as_it_is_predicted_here(elsewhere: Elsewhere) -> None:
    assert len(elsewhere.batch) == 10 and elsewhere.batch == elsewhere.batch_here
    assert "predict part 1 elsewhere" in (elsewhere.clones[0].parent / "dask.log").read_text()


def test_what_was_trained_elsewhere_is_kept_everywhere(elsewhere: Elsewhere) -> None:
    assert elsewhere.again.code == 0, elsewhere.again.err
    rows = {row["architecture"]: row for row in elsewhere.again.json()["rows"]}
    assert {name: row["kept"] for name, row in rows.items()} == {"mlp": True, "lenet5": True}
