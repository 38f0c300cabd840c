"""What each value of a recipe does to a training."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from convoy.training.fit import fit
from convoy.training.spec import TrainingResult, history
from tests.training.trainings import a_spec, silent, weights

pytestmark = pytest.mark.usefixtures("one_thread")


def losses(folder: Path) -> list[float]:
    return [row["metrics"]["val/loss"] for row in history(folder)]


def trained(files: dict[str, str], folder: Path, **values: Any) -> TrainingResult:
    return fit(a_spec(files, folder, **values), silent)


def test_patience_ends_a_training_that_gets_no_better(tiny: dict[str, str], tmp_path: Path) -> None:
    values = {"schedule": "constant", "learning_rate": 0.15, "epochs": 40, "patience": 3}
    result = trained(tiny, tmp_path, **values)
    found = losses(tmp_path)
    assert result.ended == "patience" and result.epochs == len(found) < 40
    assert found.index(min(found)) == len(found) - 4 == result.best_epoch - 1
    assert result.val_loss == min(found)
    # Asked again, it knows that it is over.
    (tmp_path / "result.json").unlink()
    again = trained(tiny, tmp_path, **values)
    assert again.epochs == result.epochs and losses(tmp_path) == found


def test_a_budget_ends_a_training_with_the_best_until_then(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    result = trained(tiny, tmp_path, budget=0.001, epochs=40)
    assert result.ended == "budget" and result.epochs == 1
    assert result.val_loss == losses(tmp_path)[0]
    assert trained(tiny, tmp_path / "long", budget=600.0).ended == "epochs"


def test_the_averaged_weights_are_validated_and_kept(tiny: dict[str, str], tmp_path: Path) -> None:
    plain = trained(tiny, tmp_path / "plain", epochs=1)
    ema = trained(tiny, tmp_path / "ema", epochs=1, ema=0.95)
    assert ema.val_loss != plain.val_loss
    from convoy.training.checkpoints import found

    state = found(tmp_path / "ema" / "checkpoints", "last")[0].load()
    kept = load_file(tmp_path / "ema" / "model.safetensors")
    for name, tensor in kept.items():
        assert torch.equal(tensor, state["state_dict"][f"network.{name}"])
        assert not torch.equal(tensor, state["current_model_state"][f"network.{name}"])
    # What was trained is what would have been trained without averaging.
    other = load_file(tmp_path / "plain" / "model.safetensors")
    for name, tensor in other.items():
        assert torch.equal(tensor, state["current_model_state"][f"network.{name}"])


def test_parts_of_a_batch_are_learnt_from_together(tiny: dict[str, str], tmp_path: Path) -> None:
    trained(tiny, tmp_path / "whole")
    result = trained(tiny, tmp_path / "parts", accumulate=4)
    assert result.parts == 4
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


def test_clipping_bounds_each_step(tiny: dict[str, str], tmp_path: Path) -> None:
    """Steps of plain descent are no longer than the rate times the norm that is allowed."""
    values = {"schedule": "constant", "momentum": 0.0, "weight_decay": 0.0, "epochs": 1}
    norm, rate = 1e-3, 0.05
    trained(tiny, tmp_path / "free", **values)
    trained(tiny, tmp_path / "bound", **values, clip=norm)
    trained(tiny, tmp_path / "still", **values, clip=1e-12)
    start, bound, free = (
        load_file(tmp_path / name / "model.safetensors") for name in ("still", "bound", "free")
    )
    steps = 9

    def distance(one: dict[str, torch.Tensor]) -> float:
        return math.sqrt(sum(float((one[n] - start[n]).square().sum()) for n in start))

    assert 0 < distance(bound) <= steps * rate * norm * 1.01
    assert distance(free) > 10 * distance(bound)


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_balancing_changes_what_is_learnt(
    tiny: dict[str, str], tmp_path: Path, balance: str
) -> None:
    trained(tiny, tmp_path / "plain")
    result = trained(tiny, tmp_path / "balanced", balance=balance)
    assert result.val_accuracy > 0.8
    assert weights(tmp_path / "plain") != weights(tmp_path / "balanced")


@pytest.mark.parametrize(
    "augment",
    [
        {"shift": 1, "flip": True, "rotate": 10.0, "erase": 0.2},
        {"mixup": 0.2, "cutmix": 1.0},
        {"policy": {"name": "randaugment", "operations": 1, "magnitude": 5}},
    ],
    ids=str,
)
def test_an_augmented_training_repeats_itself(
    tiny: dict[str, str], tmp_path: Path, augment: dict[str, Any]
) -> None:
    for name in ("one", "other"):
        trained(tiny, tmp_path / name, augment=augment, epochs=2)
    trained(tiny, tmp_path / "plain", epochs=2)
    assert weights(tmp_path / "one") == weights(tmp_path / "other") != weights(tmp_path / "plain")


def test_images_from_the_disk_teach_the_same(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path
) -> None:
    spec = a_spec(tiny, tmp_path).model_copy(update={"reader": "disk"})
    assert fit(spec, silent).reader == "disk"
    assert weights(tmp_path) == weights(unbroken)


def test_only_deterministic_operations_give_the_same_weights(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path
) -> None:
    try:
        for name in ("one", "other"):
            spec = a_spec(tiny, tmp_path / name).model_copy(update={"deterministic": True})
            fit(spec, silent)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert weights(tmp_path / "one") == weights(tmp_path / "other") == weights(unbroken)
