"""Trainings that are ended in the middle, run out of memory or disk, and lose nothing by it."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from convoy.classifier import Classifier
from convoy.errors import ConvoyError, Stopped
from convoy.training import callbacks
from convoy.training.checkpoints import found
from convoy.training.fit import fit
from convoy.training.spec import TrainingResult, finished, history
from tests.training.trainings import (
    Event,
    a_spec,
    before_step,
    damage,
    short_of_memory,
    silent,
    weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")

DROPOUT: dict[str, Any] = {"options": {"dropout": 0.3}, "augment": {"shift": 1}}

LAST = 7
"""The index of an epoch's last batch."""


def same(one: TrainingResult, other: TrainingResult) -> bool:
    assert one.model_copy(update={"seconds": 0}) == other.model_copy(update={"seconds": 0})
    return True


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize(("epoch", "index"), [(0, 0), (0, 4), (2, 3), (3, LAST), (4, LAST - 1)])
def test_a_training_that_is_asked_to_end_goes_on_in_the_middle_of_the_epoch(
    tiny: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
    index: int,
    ema: float | None,
) -> None:
    whole = fit(a_spec(tiny, tmp_path / "whole", ema=ema, **DROPOUT), silent)
    spec = a_spec(tiny, tmp_path / "stopped", ema=ema, **DROPOUT)
    steps: list[tuple[int, int]] = []

    def act(classifier: Classifier, batch: Any, now: int) -> None:
        steps.append((classifier.current_epoch, now))
        if steps[-1] == (epoch, index) and steps.count((epoch, index)) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    before_step(monkeypatch, act)
    with pytest.raises(Stopped, match="training of mlp was stopped: run again, it goes on"):
        fit(spec, silent)
    assert finished(tmp_path / "stopped") is None
    assert same(fit(spec, silent), whole)
    assert len(steps) == len(set(steps))  # no step was taken twice
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    told = [[row["metrics"] for row in history(tmp_path / name)] for name in ("whole", "stopped")]
    assert told[0] == told[1]


def test_a_long_epoch_is_saved_in_its_midst(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if five minutes went by at each step; then a kill, which no handler sees."""
    whole = fit(a_spec(tiny, tmp_path / "whole", **DROPOUT), silent)
    monkeypatch.setattr(callbacks, "WITHIN_EVERY", callbacks.WITHIN_EVERY * 0)
    spec = a_spec(tiny, tmp_path / "killed", **DROPOUT)
    steps: list[tuple[int, int]] = []

    class Killed(BaseException):
        pass

    def act(classifier: Classifier, batch: Any, now: int) -> None:
        if (classifier.current_epoch, now) == (1, 5) and (1, 5) not in steps:
            steps.append((1, 5))
            raise Killed
        steps.append((classifier.current_epoch, now))

    before_step(monkeypatch, act)
    with pytest.raises(Killed):
        fit(spec, silent)
    assert same(fit(spec, silent), whole)
    assert len(steps) == len(set(steps)) + 1
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert len(found(tmp_path / "killed" / "checkpoints", "last", "within")) == 2
    damage(found(tmp_path / "killed" / "checkpoints", "last", "within")[0].path, 0.5)
    (tmp_path / "killed" / "result.json").unlink()
    assert same(fit(spec, silent), whole)


def test_a_batch_that_does_not_fit_is_taken_in_parts_and_learnt_from_alike(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(a_spec(tiny, tmp_path / "whole"), silent)
    spec = a_spec(tiny, tmp_path / "short")
    events: list[Event] = []
    with short_of_memory(monkeypatch, most=10) as sizes:
        result = fit(spec, events.append)
    assert [event["parts"] for event in events if event["event"] == "note"] == [2, 4]
    assert result.parts == 4 and max(sizes[2:]) == 8
    # The sum of the parts' gradients is that of the batch, but for rounding.
    told = [[row["metrics"] for row in history(tmp_path / name)] for name in ("whole", "short")]
    for one, other in zip(*told, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert result.best_epoch == whole.best_epoch
    (tmp_path / "short" / "result.json").unlink()
    with short_of_memory(monkeypatch, most=10) as sizes:  # what was found out is kept
        assert same(fit(spec, silent), result)
    assert sizes == []


def test_a_memory_that_is_much_too_small_is_said(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = r"mlp does not fit the memory even with its batch of 32 images in 8 parts: lower batch_s"
    with short_of_memory(monkeypatch, most=1), pytest.raises(ConvoyError, match=said):
        fit(a_spec(tiny, tmp_path), silent)


def test_another_error_is_not_taken_for_a_lack_of_memory(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(classifier: Classifier, batch: Any, now: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    before_step(monkeypatch, act)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        fit(a_spec(tiny, tmp_path), silent)


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """A disk that takes no more than so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_what_was_saved_before_is_gone_on_from(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(a_spec(tiny, tmp_path / "whole"), silent)
    spec = a_spec(tiny, tmp_path / "full")
    size = found(tmp_path / "whole" / "checkpoints", "last")[0].path.stat().st_size

    def act(classifier: Classifier, batch: Any, now: int) -> None:
        if classifier.current_epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 3, resource.RLIM_INFINITY))

    said = r"cannot save a checkpoint in \S+checkpoints \(the disk is full\).* free some space"
    with monkeypatch.context() as patch, small_files(resource.RLIM_INFINITY):
        before_step(patch, act)
        with pytest.raises(ConvoyError, match=said):
            fit(spec, silent)
    saved = found(tmp_path / "full" / "checkpoints", "best", "last")
    assert {one.kind for one in saved} == {"best", "last"} and all(one.is_whole() for one in saved)
    assert not list((tmp_path / "full" / "checkpoints").glob(".*"))
    seen: list[int] = []
    assert same(fit(spec, lambda event: seen.append(event["epoch"])), whole)
    assert weights(tmp_path / "full") == weights(tmp_path / "whole")


def test_a_checkpoint_holds_plain_values(tiny: dict[str, str], tmp_path: Path) -> None:
    fit(a_spec(tiny, tmp_path, ema=0.9, patience=3, budget=1000.0, clip=1.0), silent)
    for saved in found(tmp_path / "checkpoints", "best", "last"):
        content = torch.load(saved.path, weights_only=True)
        assert content["global_step"] == saved.step
        assert json.loads(json.dumps(content["hyper_parameters"]["recipe"]))["ema"] == 0.9
