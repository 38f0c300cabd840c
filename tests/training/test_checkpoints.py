"""Checkpoints are whole whenever their writer is killed, and never silently not written."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from convoy.errors import ConvoyError
from convoy.programs.launcher import Launcher
from convoy.training.checkpoints import GENERATIONS, found, resumable

MODULE = "tests.programs.examples"
ELSEWHERE = Path("/dev/shm")
"""Another file system, where there is one: a move from there can be cut off in the middle."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Launcher]:
    folder = tmp_path_factory.mktemp("launcher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        patch.setenv("OMP_NUM_THREADS", "1")
        with Launcher("convoy.training.checkpoints", log=folder / "parent.log") as launcher:
            yield launcher


def test_a_kill_in_the_midst_of_writing_leaves_the_checkpoint_before(
    launcher: Launcher, tmp_path: Path
) -> None:
    draws, folder, steps = random.Random(1), tmp_path / "checkpoints", [0]
    elsewhere = ELSEWHERE if ELSEWHERE.is_dir() else tmp_path
    for _ in range(5):
        spec = {
            "do": "save",
            "folder": str(folder),
            "elsewhere": str(elsewhere),
            "kill_after_ms": draws.uniform(0, 100),
        }
        with pytest.raises(ConvoyError, match="killed"):
            launcher.run(MODULE, spec, tmp_path / "log", lambda event: None)
        there = found(folder, "last")
        assert len(there) <= GENERATIONS + 1, "the oldest goes when the newest is there"
        assert all(one.is_whole() for one in there)
        newest = resumable(folder)
        assert not list(folder.glob(".*")), "what was half written is gone"
        assert newest and newest.step > steps[-1]
        assert torch.all(newest.load()["weights"] == newest.step)
        steps.append(newest.step)


def test_a_folder_that_may_not_be_written_is_said(launcher: Launcher, tmp_path: Path) -> None:
    spec = {"do": "save without the right to", "folder": str(tmp_path)}
    said = r"cannot save a checkpoint in checkpoints \(Permission denied\).* give this user"
    with pytest.raises(ConvoyError, match=said):
        launcher.run(MODULE, spec, tmp_path / "log", lambda event: None)
    assert found(tmp_path / "checkpoints", "last") == []
