"""An inspection that comes to nothing costs a training nothing: its run says why it is missing."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from safetensors.torch import save_file

from convoy import store, tracking
from convoy.architectures import build
from convoy.client import Client
from convoy.pipeline.inspection import MISSING, inspect
from convoy.pipeline.session import Session, Training
from convoy.plan import make_plan
from convoy.programs.launcher import Launcher
from convoy.progress import Step
from convoy.project import Project
from convoy.training.spec import TrainingResult
from convoy.versions import Version
from tests.stores import new_store

pytestmark = pytest.mark.slow

STAMPS = tracking.Stamps("c0ffee", False, "digits", "ab" * 16 + ".dir", "d16e57" * 6, "a flow run")
RESULT = TrainingResult(
    key="one",
    architecture="mlp",
    weights_sha256="5a" * 32,
    best_epoch=1,
    epochs=1,
    val_loss=1.0,
    val_accuracy=0.5,
    seconds=1.0,
    device="cpu",
    precision="float32",
    compiled=False,
    reader="device",
    parts=1,
    ended="epochs",
)


@pytest.fixture
def work(
    repository: Path,
    tiny: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Session]:
    """A session at a trained network, whose programs start without anything preloaded."""
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    session = Session(make_plan(Project(repository)), "a flow run")
    session.client = Client(client.tracking_uri)
    session.experiment = store.experiment(client, project, "digits")
    session.version = Version("digits", STAMPS.version, tiny)
    session.manifest = session.version.manifest
    parent = tracking.open_pipeline(client, session.experiment, "pipeline", STAMPS)
    run = tracking.open_training(client, session.experiment, parent, "one", "mlp", {}, 1, STAMPS)
    folder = tmp_path / "training"
    folder.mkdir()
    network = build("mlp", num_classes=10, in_channels=1, image_size=8)
    save_file(network.state_dict(), folder / "model.safetensors")
    session.trainings["mlp"] = Training("mlp", "one", folder, run, False, RESULT)
    session.open_runs.append(run)
    with Launcher(log=tmp_path / "parent.log") as launcher:
        session.launcher = launcher
        yield session


def missing(work: Session) -> str:
    run = work.client.get_run(work.trainings["mlp"].run_id)
    assert run.info.status == "FINISHED" and work.open_runs == [], "the pipeline goes on"
    return str(run.data.tags[MISSING])


def kill_the_next_program() -> None:
    """Kill what the preloaded parent forks; this process has no other such grandchild."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for parent in psutil.Process().children():
            if "convoy.programs.preloaded" in parent.cmdline():
                for program in parent.children():
                    program.kill()
                    return
        time.sleep(0.01)


def test_a_program_that_is_killed_is_told_and_tagged(
    work: Session, caplog: pytest.LogCaptureFixture
) -> None:
    killer = threading.Thread(target=kill_the_next_program)
    killer.start()
    assert inspect(work, "mlp") == 0
    killer.join()
    assert "convoy.evaluation.inspection was killed" in missing(work)
    (step,) = [vars(record)["event"] for record in caplog.records if hasattr(record, "event")]
    assert step == Step("inspect mlp", "failed", missing(work))


def test_what_an_inspection_lacks_is_told_with_the_mend(work: Session) -> None:
    assert inspect(work, "mlp") == 0
    assert "predictions.npz is missing: delete it and run again" in missing(work)
