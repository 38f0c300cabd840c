"""Which devices a training has for itself, and that nobody else has them meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from convoy import slots
from convoy.errors import ConvoyError

HOST = socket.gethostname()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOY_SLOTS_DIR", str(tmp_path / "slots"))
    return tmp_path / "slots"


def test_a_training_takes_the_devices_that_it_sees(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert slots.names({}, tmp_path) == (f"{HOST}:gpu-0",)
    assert slots.names({"CONVOY_DEVICES": "2"}, tmp_path) == (f"{HOST}:gpu-0", f"{HOST}:gpu-1")
    assert slots.names({"CUDA_VISIBLE_DEVICES": "10,1"}, tmp_path) == (f"{HOST}:gpu-10",)
    assert slots.names({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ()
    assert slots.names({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == ()


def test_a_machine_without_devices_shares_its_cores_unless_it_names_one(tmp_path: Path) -> None:
    assert slots.names({}, tmp_path) == ()
    assert slots.names({"CONVOY_SLOTS": "cpu"}, tmp_path) == (f"{HOST}:cpu",)
    assert slots.names({"CONVOY_SLOTS": "box:gpu-1, box:gpu-0"}, tmp_path) == (
        "box:gpu-0",
        "box:gpu-1",
    )
    (tmp_path / "nvidia0").touch()
    assert slots.names({"CONVOY_SLOTS": ""}, tmp_path) == ()


HOLD = """
import sys, time
from convoy import slots
with slots.locked("train", ("box:cpu",)):
    print("held", time.monotonic(), flush=True)
    time.sleep(float(sys.argv[1]))
    print("left", time.monotonic(), flush=True)
"""


def hold(seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def times(process: "subprocess.Popen[str]") -> list[float]:
    out, _ = process.communicate(timeout=60)
    return [float(line.split()[1]) for line in out.splitlines()]


def test_processes_hold_a_device_one_after_another(folder: Path) -> None:
    spans = sorted(times(process) for process in [hold(0.3) for _ in range(4)])
    assert [len(span) for span in spans] == [2] * 4
    for (_, left), (held, _) in pairwise(spans):
        assert left <= held


def test_a_device_is_free_at_once_when_its_holder_was_killed(folder: Path) -> None:
    first = hold(600)
    assert first.stdout
    first.stdout.readline()
    second = hold(0)
    time.sleep(0.5)
    assert second.poll() is None, "two at once"
    killed = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    held, _ = times(second)
    assert held - killed < 10


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONVOY_SLOTS_DIR", str(tmp_path / "file" / "slots"))
    with pytest.raises(ConvoyError, match="CONVOY_SLOTS_DIR"), slots.locked("train", ("box:cpu",)):
        pass
