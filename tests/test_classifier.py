"""One training step: plain arguments in, the recipe's optimizer, the architecture's own loss."""

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from convoy.classifier import Classifier
from convoy.datamodule import Batches
from convoy.readers import Resident
from tests.recipes import PLAIN

CONSTANT = {"learning_rate": 0.01, "schedule": "constant", "epochs": 1, "batch_size": 8}


def a_classifier(name: str = "mlp", image_size: int = 8, **recipe: Any) -> Classifier:
    epochs = recipe.get("epochs", 1)
    return Classifier(
        name=name,
        num_classes=4,
        image_size=image_size,
        channels="gray",
        mean=[127.5],
        std=[50.0],
        recipe={**PLAIN, **CONSTANT, **recipe},
        seed=1,
        steps=2 * epochs,
    )


def a_batch(image_size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (16, 1, image_size, image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return images, torch.arange(16) % 4


def fit(classifier: Classifier, epochs: int = 1, **options: Any) -> pl.Trainer:
    images, labels = a_batch(classifier.preprocessing.side)
    batches = Batches(Resident(images.permute(0, 2, 3, 1)), labels, 8)
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


class Rates(pl.Callback):
    """The learning rate of each step."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.used.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_the_rate_is_set_before_each_step() -> None:
    rates = Rates()
    fit(a_classifier(schedule="cosine", epochs=3), 3, callbacks=[rates])
    expected = [0.01 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert rates.used == pytest.approx(expected)


def test_a_batch_is_augmented_the_same_each_time_and_each_batch_otherwise() -> None:
    classifier = a_classifier(augment={"shift": 2, "flip": True, "mixup": 0.5})
    batch = a_batch()
    with torch.random.fork_rng():
        one, again, other = (classifier.augmented(batch, index) for index in (3, 3, 4))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])
    assert one[1].shape == (16, 4)


def test_a_class_that_counts_more_moves_the_loss() -> None:
    plain = a_classifier()
    weighted = Classifier(**{**plain.hparams, "class_weights": [4.0, 1.0, 1.0, 1.0]})
    logits, labels = torch.zeros(2, 4), torch.tensor([0, 1])
    logits[0, 1] = 3.0
    expected = torch.nn.functional.cross_entropy(logits, labels, torch.tensor([4.0, 1, 1, 1]))
    assert torch.equal(weighted.criterion(logits, labels), expected)
    assert plain.criterion(logits, labels) < expected
    assert weighted.evaluation_criterion(logits, labels) == plain.criterion(logits, labels)


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
