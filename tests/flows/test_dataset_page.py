"""What a run says of the dataset that it uses: its page in MLflow, and why it could be lost."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.pets import Pets, add_pets

pytestmark = pytest.mark.soak

ARGUMENTS = ("run", "--dataset", "pets", "--architectures", "mlp", "--set", "recipes.mlp.epochs=1")


@pytest.fixture(scope="module")
def ran(_ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Pets:
    """A short run on a dataset that was just added: its version is in no commit."""
    pets = add_pets(_ready, tmp_path_factory.mktemp("flagged") / "home")
    assert pets.done.code == 0, pets.done.err
    done = pets.run(*ARGUMENTS)
    assert done.code == 5, done.err  # one epoch on noise is below any floor
    return Pets(pets.home, done)


def pipeline_run(pets: Pets) -> tuple[MlflowClient, Run]:
    client = MlflowClient(f"sqlite:///{pets.root / '.convoy' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pets")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return client, parent


def test_the_page_lies_with_the_run_that_used_the_dataset(ran: Pets) -> None:
    client, run = pipeline_run(ran)
    listed = [found.path for found in client.list_artifacts(run.info.run_id, "dataset")]
    assert listed == ["dataset/page.html"]
    logged = Path(run.info.artifact_uri.removeprefix("file://")) / "dataset" / "page.html"
    html = logged.read_text(encoding="utf-8")
    assert html == (ran.reports / "page.html").read_text(encoding="utf-8")
    assert ran.manifest()["digest"][:12] in html and "dog/cut.png" in html
    assert run.data.tags["convoy.dataset_version"] == ran.recorded()


def test_a_version_that_is_not_committed_is_flagged_in_mlflow_and_on_the_terminal(
    ran: Pets,
) -> None:
    _, run = pipeline_run(ran)
    assert "is not committed" in run.data.tags["convoy.dataset_flagged"]
    assert "Note on the dataset version: its dvc.lock entry is not committed" in ran.done.out


def test_strict_refuses_such_a_version(ran: Pets) -> None:
    done = ran.run(*ARGUMENTS, "--strict")
    assert done.code == 4
    said = done.err.splitlines()[-1]
    assert "--strict refuses this version of 'pets': its dvc.lock entry is not committed" in said
    assert "Traceback" not in done.err
