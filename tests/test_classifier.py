"""One training step: plain arguments in, the recipe's optimizer, the architecture's own loss."""

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import SGD, AdamW

from convoy.classifier import Classifier
from convoy.datamodule import Batches

RECIPE: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "shift": 0,
    "flip": False,
    "epochs": 1,
    "batch_size": 8,
}


def a_classifier(name: str = "mlp", image_size: int = 8, **recipe: Any) -> Classifier:
    return Classifier(
        name=name,
        num_classes=4,
        image_size=image_size,
        channels="gray",
        mean=[127.5],
        std=[50.0],
        recipe={**RECIPE, **recipe},
        seed=1,
    )


def a_batch(image_size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (16, 1, image_size, image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return images, torch.arange(16) % 4


def fit(classifier: Classifier, epochs: int = 1, **options: Any) -> pl.Trainer:
    images, labels = a_batch(classifier.preprocessing.side)
    batches = Batches(images.permute(0, 2, 3, 1), labels, 8)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(classifier, batches, batches)
    return trainer


def test_some_images_are_learnt_by_heart() -> None:
    classifier = a_classifier()
    trainer = fit(classifier, epochs=30)
    assert trainer.callback_metrics["val/accuracy"] == 1.0
    assert trainer.callback_metrics["val/loss"] < 0.1


def test_the_auxiliary_heads_of_googlenet_count_in_training_alone() -> None:
    """The classifier never sees the tuple: the architecture's own loss does."""
    pl.seed_everything(1, verbose=False)
    classifier = a_classifier("googlenet", image_size=32)
    trainer = fit(classifier)
    assert trainer.callback_metrics["train/loss"] > 0
    images, _ = a_batch(32)
    classifier.eval()
    assert classifier.network(classifier.preprocessing.normalise(images)).shape == (16, 4)


def test_smoothing_is_for_training_and_validation_measures_the_plain_loss() -> None:
    smoothed, plain = a_classifier(label_smoothing=0.5), a_classifier()
    plain.load_state_dict(smoothed.state_dict())
    images, labels = a_batch()
    logits = smoothed.network(smoothed.preprocessing.normalise(images))
    assert smoothed.criterion(logits, labels) != plain.criterion(logits, labels)
    assert smoothed.evaluation_criterion(logits, labels) == plain.criterion(logits, labels)


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adamw", AdamW)])
def test_the_recipe_names_the_optimizer_and_its_values(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    optimizer = a_classifier(optimizer=name).configure_optimizers()
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.01, 5e-4)
    assert name == "adamw" or group["momentum"] == 0.9


class Rates(pl.Callback):
    """The learning rate of each step."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.used.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("epochs", [1, 10])
def test_one_cycle_rises_to_the_recipes_rate_and_ends_near_zero(epochs: int) -> None:
    rates = Rates()
    fit(a_classifier(schedule="one_cycle", epochs=epochs), epochs, callbacks=[rates])
    assert len(rates.used) == 2 * epochs
    assert rates.used[-1] < 1e-4
    assert epochs == 1 or max(rates.used) == pytest.approx(0.01)


def test_cosine_falls_from_the_recipes_rate_along_half_a_wave() -> None:
    rates = Rates()
    fit(a_classifier(schedule="cosine", epochs=3), 3, callbacks=[rates])
    expected = [0.01 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert rates.used == pytest.approx(expected)


def test_a_constant_rate_stays() -> None:
    rates = Rates()
    fit(a_classifier(), 3, callbacks=[rates])
    assert rates.used == [0.01] * 6


def test_a_checkpoint_loads_without_unpickling(tmp_path: Path) -> None:
    trainer = fit(a_classifier())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["hyper_parameters"]["name"] == "mlp"
    again = Classifier.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    images, _ = a_batch()
    model = trainer.lightning_module
    assert isinstance(model, Classifier)
    normalised = again.preprocessing.normalise(images)
    assert torch.equal(again.eval().network(normalised), model.eval().network(normalised))
