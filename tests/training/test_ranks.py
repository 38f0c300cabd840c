"""Several processes that train together, over gloo on the processor, as one would alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from convoy.errors import ConvoyError
from convoy.training.checkpoints import found
from convoy.training.fit import fit
from convoy.training.spec import finished, history
from tests.training.trainings import Event, a_spec, damage, silent

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


def test_what_one_process_refuses_is_said(tiny: dict[str, str], tmp_path: Path) -> None:
    spec = a_spec(tiny, tmp_path, learning_rate=1e12, schedule="constant")
    with pytest.raises(ConvoyError, match="the loss of mlp is"):
        fit(spec.model_copy(update={"devices": 2}), silent)
    assert finished(tmp_path) is None
