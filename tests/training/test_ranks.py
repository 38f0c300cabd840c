"""Several processes that train together, over gloo on the processor, as one would alone.

And how the program of a training ends that is started by hand.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch
from safetensors.torch import load_file

from convoy.errors import ConvoyError
from convoy.files import write_json
from convoy.training.checkpoints import found
from convoy.training.fit import fit
from convoy.training.spec import TrainingSpec, finished, history
from tests.training.trainings import Event, a_spec, damage, silent, weights

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_two_processes_learn_what_one_learns(tiny: dict[str, str], tmp_path: Path) -> None:
    """The batch is that of both together, so the steps are those of one process alone."""
    one = fit(a_spec(tiny, tmp_path / "one"), silent)
    events: list[Event] = []
    spec = a_spec(tiny, tmp_path / "two").model_copy(update={"devices": 2})
    two = fit(spec, events.append)
    assert [event["epoch"] for event in events] == [1, 2, 3, 4, 5]
    assert two.key == one.key and two.best_epoch == one.best_epoch
    told = [[row["metrics"] for row in history(tmp_path / name)] for name in ("one", "two")]
    for alone, together in zip(*told, strict=True):
        assert together == pytest.approx(alone, rel=1e-3)
    kept = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in kept[0].items():
        assert torch.allclose(tensor, kept[1][name], atol=1e-4)
    # It goes on from a checkpoint, the one before where the newest is damaged.
    (tmp_path / "two" / "result.json").unlink()
    damage(found(tmp_path / "two" / "checkpoints", "last")[0].path, 0.5)
    again = fit(spec, silent)
    assert again.model_copy(update={"seconds": 0}) == two.model_copy(update={"seconds": 0})


@pytest.mark.soak
def test_what_one_process_refuses_is_said(tiny: dict[str, str], tmp_path: Path) -> None:
    spec = a_spec(tiny, tmp_path, learning_rate=1e12, schedule="constant")
    with pytest.raises(ConvoyError, match="the loss of mlp is"):
        fit(spec.model_copy(update={"devices": 2}), silent)
    assert finished(tmp_path) is None


class Ended(NamedTuple):
    """How the program of a training ended, and what is left."""

    code: int
    last: Event
    """The last that it told."""
    seconds: float
    """Until nothing of it ran any more."""


def ended(spec: TrainingSpec, epoch: int, end: Callable[[psutil.Process], None]) -> Ended:
    """Train until an epoch is over, then end the program in some way."""
    file = Path(spec.folder) / "by-hand.json"
    write_json(file, spec.model_dump(mode="json"))
    command = [sys.executable, "-m", "convoy.training", str(file)]
    log = file.with_suffix(".log").open("w")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout
        event: Event = {}
        for line in process.stdout:
            event = json.loads(line)
            if event.get("epoch") == epoch:
                break
        assert event["event"] == "epoch", event
        family = psutil.Process(process.pid).children(recursive=True)
        assert spec.devices == 1 or len(family) >= 3, "the launcher and two processes"
        began = time.monotonic()
        end(psutil.Process(process.pid))
        lines = process.stdout.read().splitlines()
        code = process.wait(120)
        _, left = psutil.wait_procs(family, timeout=120)
    for one in left:
        one.kill()
    log.close()
    assert not left, [one.cmdline() for one in left]
    return Ended(code, json.loads(lines[-1]) if lines else event, time.monotonic() - began)


def terminate(program: psutil.Process) -> None:
    program.send_signal(signal.SIGTERM)


def kill(program: psutil.Process) -> None:
    program.kill()


def kill_the_last(program: psutil.Process) -> None:
    ranks = [one for one in program.children(recursive=True) if "convoy.training" in one.cmdline()]
    next(one for one in ranks if one.environ().get("LOCAL_RANK") == "1").kill()


@pytest.mark.soak
def test_a_program_that_was_asked_to_end_never_ends_as_if_it_were_done(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    """Lightning alone ends with code 0 then."""
    spec = a_spec(tiny, tmp_path, epochs=300)
    asked = ended(spec, 3, terminate)
    assert asked.code == 130 and asked.last["kind"] == "Stopped"
    assert finished(tmp_path) is None
    assert found(tmp_path / "checkpoints", "last", "within")[0].is_whole()


@pytest.mark.soak
@pytest.mark.timeout(900)  # seven starts of PyTorch, for minutes on a busy machine
def test_processes_that_are_ended_leave_nothing_and_go_on_to_the_same_bits(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    values: dict[str, Any] = {
        "epochs": 8,
        "batch_size": 16,
        "learning_rate": 0.02,
        "options": {"dropout": 0.3},
    }
    whole, stopped = (
        a_spec(tiny, tmp_path / name, **values).model_copy(update={"devices": 2})
        for name in ("whole", "stopped")
    )
    for spec in (whole, stopped):
        Path(spec.folder).mkdir()
    fit(whole, silent)
    asked = ended(stopped, 1, terminate)
    assert asked.code == 130
    assert asked.last["event"] == "refused"
    assert "was stopped: run again, it goes on from there" in asked.last["message"]
    saved = found(Path(stopped.folder) / "checkpoints", "last", "within")[0]
    assert saved.kind == "within", "they have ended in the middle of an epoch, and saved it"
    one_died = ended(stopped, 3, kill_the_last)
    assert one_died.code == 1 and one_died.last["event"] == "refused"
    ended(stopped, 5, kill)
    fit(stopped, silent)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    told = [[row["metrics"] for row in history(tmp_path / name)] for name in ("whole", "stopped")]
    for one, other in zip(*told, strict=True):
        assert one == pytest.approx(other)
