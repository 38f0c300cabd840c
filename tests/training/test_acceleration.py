"""What a training computes in, and when its network runs compiled."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from convoy.training import acceleration
from convoy.training.acceleration import compiling, pays, precision
from convoy.training.fit import fit
from tests.training.trainings import Event, a_spec, silent, weights

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_a_compiler = pytest.mark.skipif(
    shutil.which("c++") is None, reason="compiling a network for the processor needs a C++ compiler"
)


def test_a_gpu_computes_in_bfloat16_where_it_can_unless_the_recipe_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert precision(None, GPU) == "bfloat16"
    assert precision("float32", GPU) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert precision(None, GPU) == "float32"
    assert precision(None, CPU) == "float32"
    assert precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.usefixtures("one_thread")
def test_a_training_in_bfloat16_learns_and_keeps_its_weights_in_float32(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    result = fit(a_spec(tiny, tmp_path / "half", precision="bfloat16"), silent)
    whole = fit(a_spec(tiny, tmp_path / "whole"), silent)
    assert (result.precision, whole.precision) == ("bfloat16", "float32")
    assert result.val_accuracy > 0.8
    kept = load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
    assert weights(tmp_path / "half") != weights(tmp_path / "whole")


def test_compiling_is_tried_where_enough_steps_are_left() -> None:
    assert pays(0.05, 10_000)
    assert not pays(0.05, 1_000)
    assert not pays(0.001, 10_000)


@pytest.mark.parametrize(
    ("told", "device", "deterministic", "expected"),
    [
        (None, GPU, False, True),
        (None, CPU, False, False),
        (True, CPU, False, True),
        (False, GPU, False, False),
        (True, GPU, True, False),
    ],
    ids=["a GPU", "a processor", "a processor, asked for", "not wanted", "deterministic"],
)
def test_where_compiling_is_tried(
    monkeypatch: pytest.MonkeyPatch,
    told: bool | None,
    device: torch.device,
    deterministic: bool,
    expected: bool,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert compiling(told, device, deterministic) == expected
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not compiling(told, device, deterministic)
    monkeypatch.undo()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not compiling(told, device, deterministic)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings try the compiler within a few steps, however few are left."""
    monkeypatch.setattr(acceleration, "WARM_UP", 2)
    monkeypatch.setattr(acceleration, "TIMED", 3)
    monkeypatch.setattr(acceleration, "COST", 0.0)


@pytest.mark.slow
@needs_a_compiler
# The compiler's own imports.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.usefixtures("one_thread", "eager")
@pytest.mark.parametrize("slower", [False, True], ids=["faster", "slower"])
def test_the_faster_way_stays(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slower: bool
) -> None:
    """What a step takes is told by a clock of the test's, so that the outcome is certain."""
    clock = iter([0.0, 3.0, 3.0, 9.0] if slower else [0.0, 3.0, 3.0, 4.5])
    monkeypatch.setattr(acceleration, "_now", lambda device: next(clock))
    calls: list[int] = []
    compile_ = torch.compile

    def counted(run: Any, **options: Any) -> Any:
        calls.append(1)
        return compile_(run, **options)

    monkeypatch.setattr(torch, "compile", counted)
    events: list[Event] = []
    spec = a_spec(tiny, tmp_path, batch_size=16).model_copy(update={"compiled": True})
    result = fit(spec, events.append)
    assert calls == [1]
    assert result.compiled is not slower
    assert result.val_accuracy > 0.8
    (note,) = [event["text"] for event in events if event["event"] == "note"]
    expected = "not compiled: measured, it was no faster" if slower else "compiled, 2.00 times"
    assert note.startswith(expected)


@pytest.mark.usefixtures("one_thread", "eager")
def test_a_compiler_that_fails_changes_nothing(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Any, **options: Any) -> Any:
        def fail(images: torch.Tensor) -> Any:
            raise RuntimeError("no back end here")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    events: list[Event] = []
    spec = a_spec(tiny, tmp_path / "broken").model_copy(update={"compiled": True})
    result = fit(spec, events.append)
    assert not result.compiled
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert notes == ["not compiled: the compiler failed, see the log"]
    fit(a_spec(tiny, tmp_path / "plain"), silent)
    assert weights(tmp_path / "broken") == weights(tmp_path / "plain")
