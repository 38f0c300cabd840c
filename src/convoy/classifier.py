"""The LightningModule around a network: the one training step that all architectures share."""

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from convoy.architectures import build, describe
from convoy.datamodule import Batch
from convoy.decoding import Channels
from convoy.preprocessing import Preprocessing
from convoy.settings import Recipe


class Classifier(pl.LightningModule):
    """A network with its loss, optimizer and metrics.

    All arguments are plain values, so that a checkpoint loads without unpickling anything. `mean`
    and `std` are those of the training images in levels of `channels`, a value a channel.
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
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recipe = Recipe.model_validate(recipe)
        self.seed = seed
        self.architecture = describe(name)
        self.preprocessing = Preprocessing(image_size, channels, mean, std)
        network = build(name, num_classes=num_classes, in_channels=len(mean), image_size=image_size)
        # Convolutions on a CPU run on channels-last memory anyway; this spares them the copies.
        self.network = cast(nn.Module, network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self.criterion = nn.CrossEntropyLoss(label_smoothing=self.recipe.label_smoothing)
        self.evaluation_criterion = nn.CrossEntropyLoss()

    def on_train_epoch_start(self) -> None:
        # Dropout after a resume draws what it would have drawn in an unbroken run.
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        images, labels = batch
        outputs = self.network(self.preprocessing.normalise(images))
        loss = self.architecture.loss(outputs, labels, self.criterion)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        images, labels = batch
        logits: Tensor = self.network(self.preprocessing.normalise(images))
        correct = (logits.argmax(dim=1) == labels).float().mean()
        values = {"val/loss": self.evaluation_criterion(logits, labels), "val/accuracy": correct}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        recipe, weights = self.recipe, self.network.parameters()
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                weights,
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
            )
        else:
            optimizer = torch.optim.AdamW(
                weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
        if recipe.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler: LRScheduler
        if recipe.schedule == "one_cycle":
            scheduler = OneCycleLR(
                optimizer,
                max_lr=recipe.learning_rate,
                total_steps=steps,
                cycle_momentum=False,  # the recipe's momentum is the one that counts
            )
        else:
            scheduler = CosineAnnealingLR(optimizer, T_max=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
