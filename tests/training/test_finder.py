"""Real searches on a few digits: what they suggest learns, and they leave nothing behind."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from convoy import readers
from convoy.errors import ConvoyError
from convoy.training import batch_sizes, rates
from convoy.training.finder import find, main
from convoy.training.fit import fit
from convoy.training.rates import range_test
from convoy.training.spec import Beginning
from convoy.training.suggestion import Rates
from convoy.training.trials import Trials, _steady
from tests.recipes import recipe
from tests.training.trainings import Event, a_spec, before_step, short_of_memory, silent

pytestmark = pytest.mark.usefixtures("one_thread", "quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two measured steps a size: what is faster is nothing that a test could know."""
    monkeypatch.setattr(batch_sizes, "STEPS", 2)


def a_beginning(files: dict[str, str], seed: int = 1, **values: Any) -> Beginning:
    return Beginning(
        architecture="mlp",
        recipe=recipe(**values),
        seed=seed,
        dataset="tiny",
        version="0123.dir",
        files=files,
        device="cpu",
    )


def swept(files: dict[str, str], seed: int = 1, **values: Any) -> Rates:
    return range_test(Trials(a_beginning(files, seed, **values)), 1, silent)


def val_loss(files: dict[str, str], folder: Path, **values: Any) -> float:
    try:
        return fit(a_spec(files, folder, epochs=12, **values), silent).val_loss
    except ConvoyError as error:
        assert "the loss of mlp is" in str(error)
        return float("inf")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_what_is_suggested_learns_and_a_hundred_times_as_much_does_not(
    tiny: dict[str, str], tmp_path: Path, optimizer: str, schedule: str
) -> None:
    values: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule}
    found = swept(tiny, **values)
    assert found.ended == "loss"
    assert found.steepest and found.tenth and found.lowest

    def trained(rate: float) -> float:
        return val_loss(tiny, tmp_path / f"{rate}", learning_rate=rate, **values)

    losses = trained(found.steepest), trained(found.tenth)
    assert max(losses) < 0.7, "at random it is 2.3"
    assert trained(100 * found.steepest) > 1.5 * min(losses)


def test_the_same_seed_gives_the_same_rates(tiny: dict[str, str]) -> None:
    one, other, another = (swept(tiny, seed, augment={"shift": 1}) for seed in (1, 1, 2))
    assert one == other
    assert one.points != another.points


def test_the_schedule_of_the_recipe_and_its_rate_do_not_matter(tiny: dict[str, str]) -> None:
    changed: dict[str, Any] = {"schedule": "step", "milestones": [0.5], "warmup": 0.3}
    assert swept(tiny, learning_rate=7.0, **changed) == swept(tiny)


def test_a_batch_in_parts_gives_the_losses_of_the_whole(tiny: dict[str, str]) -> None:
    trials = Trials(a_beginning(tiny))
    whole, parts = (range_test(trials, count, silent).points for count in (1, 4))
    for one, other in zip(whole[:120], parts[:120], strict=True):
        assert one.rate == other.rate
        assert one.loss == pytest.approx(other.loss, rel=1e-2)


def test_each_layer_keeps_its_share_of_the_rate() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [one], "lr": share} for one, share in zip(weights, (0.1, 1), strict=True)]
    optimizer = torch.optim.SGD(groups)
    trainer = cast(Any, SimpleNamespace(optimizers=[optimizer], global_step=0))
    watch = rates._Rising(silent)
    watch.on_train_start(trainer, cast(Any, None))
    for step in (0, 50, 199):
        trainer.global_step = step
        watch.on_train_batch_start(trainer, cast(Any, None), None, 0)
        low, high = (group["lr"] for group in optimizer.param_groups)
        assert high == pytest.approx(rates.rate(step)) and low == pytest.approx(high / 10)


@pytest.mark.parametrize(("frozen", "then"), [(0.0, 0.0), (0.4, 0.0), (1.0, 1.0)])
def test_layers_learn_that_learn_in_the_last_epoch(frozen: float, then: float) -> None:
    weights = {"from": "resnet18.pth", "sha256": "0" * 64, "frozen": frozen, "rate": 0.1}
    found = _steady(recipe(weights=weights), 1.0)
    assert found.weights and (found.weights.frozen, found.weights.rate) == (then, 0.1)
    assert (found.learning_rate, found.schedule) == (1.0, "constant")


def test_the_doubling_ends_with_the_last_size_that_fitted(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    with short_of_memory(monkeypatch, most=20) as seen:
        found = find(a_beginning(tiny), events.append)
    assert [size.batch_size for size in found.sizes.tried] == [8, 16]
    assert (found.sizes.largest, found.sizes.ended) == (16, "memory")
    assert found.sizes.fastest in (8, 16)
    # The recipe's batch of 32 is then taken in parts that fit.
    after = seen[seen.index(32) + 1 :]
    assert len(after) > 200 and max(after) == 16
    assert found.rates.steepest
    assert [event["batch_size"] for event in events if event["event"] == "size"] == [8, 16]


def test_without_a_lack_of_memory_all_images_are_the_end(tiny: dict[str, str]) -> None:
    found = find(a_beginning(tiny, batch_size=50), silent).sizes
    images = Trials(a_beginning(tiny)).images
    assert [size.batch_size for size in found.tried] == [12, 25, 50, 100, 200]
    assert 200 <= images < 400
    assert found.ended == "images"


def test_on_a_processor_no_size_is_tried_that_would_take_all_memory(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if each image of the largest batch so far took a megabyte, and 100 of them were free."""
    sizes = [0]
    monkeypatch.setattr(readers, "free", lambda device: 100 * 10**6)
    monkeypatch.setattr(batch_sizes, "_most_resident", lambda: max(sizes) * 10**6)
    before_step(monkeypatch, lambda classifier, batch, index: sizes.append(len(batch[1])))
    found = batch_sizes.measure(Trials(a_beginning(tiny)), silent)
    assert [size.batch_size for size in found.tried] == [8, 16, 32, 64]
    assert found.ended == "memory" and max(sizes) == 64


def test_no_size_is_tried_whose_steps_would_take_long(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "LONGEST", 0.0)
    found = batch_sizes.measure(Trials(a_beginning(tiny)), silent)
    assert [size.batch_size for size in found.tried] == [8]
    assert found.ended == "seconds"


def test_a_memory_that_is_too_small_for_any_batch_is_said(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "mlp does not fit the memory even with a batch of 8 images: choose a smaller network"
    with short_of_memory(monkeypatch, most=4), pytest.raises(ConvoyError, match=said):
        find(a_beginning(tiny), silent)


def test_another_error_is_not_taken_for_a_lack_of_memory(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    before_step(monkeypatch, act)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        find(a_beginning(tiny), silent)


def test_as_a_program_it_speaks_json_and_writes_nothing(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events: list[Event] = []
    told = main(a_beginning(tiny).model_dump(), events.append)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "batch size",
        "learning rate",
    ]
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == list(range(10, steps[-1] + 1, 10)) and len(steps) > 10
    assert list(tmp_path.iterdir()) == []
