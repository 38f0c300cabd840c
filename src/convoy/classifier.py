"""The LightningModule around a network: the one training step that all architectures share."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from convoy import fine_tuning
from convoy.architectures import build, describe
from convoy.augmentation.composition import Augmentation
from convoy.datamodule import Batch, Batches
from convoy.decoding import Channels
from convoy.losses import Losses, Score
from convoy.optimisation import optimizer, schedule
from convoy.preprocessing import Preprocessing
from convoy.recipe import Recipe
from convoy.seeds import seed_of

HOPELESS = 10_000
"""How many times the loss of a guess a step's may be: some trainings come back from a hundred."""


class Classifier(pl.LightningModule):
    """A network with its loss, optimizer and metrics.

    All arguments are plain values, so that a checkpoint loads without unpickling anything. `mean`
    and `std` are those of the training images in levels of `channels`, a value a channel.
    The learning rate is set for `steps` optimizer steps. `class_weights` says how much an image of
    each class counts in training, all the same if empty.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        image_size: int,
        channels: Channels,
        mean: list[float],
        std: list[float],
        recipe: dict[str, Any],
        seed: int,
        steps: int,
        class_weights: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recipe = Recipe.model_validate(recipe)
        self.seed = seed
        # Not `estimated_stepping_batches`, which has Lightning set up the data before a checkpoint
        # tells where in the epoch it was cut off.
        self.steps = steps
        self.name = name
        self.num_classes = num_classes
        self.architecture = describe(name)
        self.preprocessing = Preprocessing(image_size, channels, mean, std)
        self.augmentation = Augmentation(self.recipe.augment, channels)
        network = build(
            name,
            num_classes=num_classes,
            in_channels=len(mean),
            image_size=image_size,
            options=self.recipe.options,
        )
        # Convolutions on a CPU run on channels-last memory anyway; this spares them the copies.
        self.network = cast(nn.Module, network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self.compiled: Callable[[Tensor], Any] | None = None
        """What runs the network in training instead, on whole batches."""
        weights = torch.tensor(class_weights) if class_weights else None
        self.criterion = nn.CrossEntropyLoss(weights, label_smoothing=self.recipe.label_smoothing)
        self.evaluation_criterion = nn.CrossEntropyLoss()
        self.losses = Losses(limit=HOPELESS * math.log(max(num_classes, 2)))
        self.score = Score()

    def augmented(self, batch: Batch, index: int) -> Batch:
        """Return batch `index` as the network sees it in this epoch, each time the same.

        What dropout draws afterwards is the same each time too.
        """
        images, labels = batch
        draws = torch.default_generator
        if images.is_cuda:
            draws = torch.cuda.default_generators[images.device.index]
        # Not `torch.manual_seed`, which without a GPU keeps a stack trace of each call.
        draws.manual_seed(seed_of(self.seed, self.current_epoch, index, self.global_rank))
        # Levels have eight bits, as many as bfloat16 keeps of what it rounds.
        with torch.autocast(images.device.type, enabled=False):
            return self.augmentation(images, labels, draws, self.num_classes)

    def on_train_start(self) -> None:
        self._freeze()

    def on_train_epoch_start(self) -> None:
        self.losses.reset()
        self._freeze()

    def _freeze(self) -> None:
        weights = self.recipe.weights
        if weights:
            frozen = fine_tuning.is_frozen(weights, self.current_epoch, self.recipe.epochs)
            fine_tuning.freeze(self.network, self.name, frozen)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        images, targets = self.augmented(batch, index)
        outputs = self._run(self.preprocessing.normalise(images))
        loss = self.architecture.loss(outputs, targets, self.criterion)
        self.losses.add(index, loss, len(images))
        share = cast(Batches, self.trainer.train_dataloader).share(index)
        # The mean gradient of a batch's parts is then that of all its images.
        return loss if share == 1 else loss * share

    def _run(self, images: Tensor) -> Any:
        # A compiler would begin anew for the smaller batch at the end of an epoch.
        whole = len(images) * self.trainer.accumulate_grad_batches == self.recipe.batch_size
        run = self.compiled if self.compiled is not None and whole else self.network
        return run(images)

    def on_validation_epoch_start(self) -> None:
        self.score = Score()

    def validation_step(self, batch: Batch, index: int) -> None:
        images, labels = batch
        logits: Tensor = self.network(self.preprocessing.normalise(images))
        self.score.add(self.evaluation_criterion(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        self.losses.look()
        seen = torch.tensor([self.losses.total, self.losses.images], dtype=torch.float32)
        sums = torch.cat([cast(Tensor, self.score.sums), seen.to(self.device)])
        sums = cast(Tensor, self.trainer.strategy.reduce(sums, reduce_op="sum"))
        loss, right, images, train_loss, train_images = sums.tolist()
        self.log_dict({"val/loss": loss / images, "val/accuracy": right / images})
        if train_images:
            self.log("train/loss", train_loss / train_images)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.losses.look()  # weights that a hopeless step has spoilt are never saved
        seen = [self.losses.total, float(self.losses.images)]
        if self.trainer.world_size > 1:  # each goes on with its share of what all have seen
            told = torch.tensor(seen, dtype=torch.float64, device=self.device)
            seen = cast(Tensor, self.trainer.strategy.reduce(told, reduce_op="mean")).tolist()
        checkpoint["losses"] = seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.losses.total, self.losses.images = checkpoint["losses"]

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        groups = fine_tuning.parameter_groups(
            self.network, self.name, recipe.weights, recipe.learning_rate
        )
        found = optimizer(recipe, groups)
        rates = schedule(recipe, found, self.steps)
        if rates is None:
            return found
        return {"optimizer": found, "lr_scheduler": {"scheduler": rates, "interval": "step"}}
