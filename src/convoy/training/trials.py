"""Short trainings of which nothing is kept: the recipe's own, but for what is to be found out."""

import logging
from copy import copy
from pathlib import Path

import pytorch_lightning as pl

from convoy.architectures.weights import load
from convoy.classifier import Classifier
from convoy.datamodule import DataModule
from convoy.fine_tuning import is_frozen
from convoy.recipe import Recipe
from convoy.training.fit import conditions, fresh
from convoy.training.spec import Beginning


class Trials:
    """Trainings of one network on one dataset version, its images read once for all of them."""

    def __init__(self, spec: Beginning) -> None:
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        self.spec = spec
        self.data = DataModule(spec.files, spec.recipe, spec.seed, spec.reader)
        self.images = len(self.data.labels["train"])
        self.data.trainer = self._trainer(-1, 1, [])
        self.device = self.data.trainer.strategy.root_device
        self._batches = self.data.train_dataloader()

    def classifier(self, learning_rate: float) -> Classifier:
        """Return the network as the training begins with it, at a rate that stays.

        Where the recipe freezes layers for some of the epochs, they learn, as they do in the end.
        """
        recipe = _steady(self.spec.recipe, learning_rate)
        spec = self.spec.model_copy(update={"recipe": recipe})
        classifier = fresh(spec, self.data)
        if spec.weights:
            load(classifier.network, spec.architecture, Path(spec.weights))
        return classifier

    def run(
        self,
        classifier: Classifier,
        batch_size: int,
        watch: pl.Callback,
        parts: int = 1,
        steps: int = -1,
    ) -> None:
        """Train for so many optimizer steps, or until `watch` has it stop.

        Raises `RuntimeError` where the memory is too small, see `convoy.training.fit`.
        """
        trainer = self._trainer(steps, parts, [watch])
        self.data.trainer = trainer  # it knows the epoch, which the order of the images follows
        batches = copy(self._batches)
        batches.batch_size, batches.parts = batch_size, parts
        trainer.fit(classifier, batches, batches)

    def _trainer(self, steps: int, parts: int, watch: list[pl.Callback]) -> pl.Trainer:
        return pl.Trainer(
            **conditions(self.spec, parts),
            devices=1,
            max_epochs=-1,
            max_steps=steps,
            limit_val_batches=0,
            callbacks=watch,
            enable_checkpointing=False,
        )


def _steady(recipe: Recipe, learning_rate: float) -> Recipe:
    """Return the recipe with a rate that stays, and frozen what is so in the last epoch."""
    changed = {"learning_rate": learning_rate, "schedule": "constant", "warmup": 0.0}
    weights = recipe.weights
    if weights:
        frozen = float(is_frozen(weights, recipe.epochs - 1, recipe.epochs))
        changed["weights"] = weights.model_copy(update={"frozen": frozen})
    return recipe.model_copy(update={**changed, "milestones": ()})
