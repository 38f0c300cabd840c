"""The learning-rate range test: the rate rises from step to step until the loss does.

Smith, "Cyclical learning rates for training neural networks" (2015), section 3.3,
https://arxiv.org/abs/1506.01186; here by the same factor each step. Lightning's `Tuner.lr_find` is
not used: it halves the first loss, measures the fall by the rate itself, which favours the smallest
ones by orders of magnitude, and has all layers learn at one rate (docs/adr/0019-finder.md).
"""

import math
import time
from typing import Any, Literal

import pytorch_lightning as pl

from convoy.classifier import Classifier
from convoy.programs.entry import Emit
from convoy.training import suggestion
from convoy.training.suggestion import Point, Rates
from convoy.training.trials import Trials

SMALLEST, LARGEST = 1e-6, 10.0
STEPS = 200
"""From the smallest rate to the largest: 28 for each power of ten."""
HOPELESS = 4.0
"""How many times its lowest value the smoothed loss may be, before the test ends."""
TOLD = 10
"""Steps between two words about how far it is."""


def range_test(trials: Trials, parts: int, emit: Emit) -> Rates:
    """Try all rates on the recipe's batches, each taken in so many parts.

    Emits {"event": "step", "step", "steps", "seconds_left"} now and then.
    """
    watch = _Rising(emit)
    size = trials.spec.recipe.batch_size
    trials.run(trials.classifier(learning_rate=1.0), size, watch, parts, STEPS)
    smoothed = suggestion.smooth(watch.losses)
    points = [
        Point(rate=rate(step), loss=loss, smoothed=smooth)
        for step, (loss, smooth) in enumerate(zip(watch.losses, smoothed, strict=True))
    ]
    return suggestion.rates(points, watch.ended)


def rate(step: int) -> float:
    """Return the rate of step `step` of `STEPS`, the first being 0."""
    return float(SMALLEST * (LARGEST / SMALLEST) ** (step / (STEPS - 1)))


class _Rising(pl.Callback):
    """Sets the rate before each step, keeps the losses, and ends the test.

    The optimizer must come with a rate of 1, or with each layer's share of it.
    """

    def __init__(self, emit: Emit) -> None:
        self.losses: list[float] = []
        self.ended: Literal["loss", "rates"] = "rates"
        self._emit = emit
        self._shares: list[float] = []
        self._loss = 0.0
        self._began = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shares = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        now = rate(trainer.global_step)
        for group, share in zip(trainer.optimizers[0].param_groups, self._shares, strict=True):
            group["lr"] = now * share

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Classifier)
        pl_module.losses.reset()  # a hopeless loss is what this test is out for
        self._loss += float(outputs["loss"])
        if trainer.global_step == len(self.losses):
            return  # the batch has more parts
        loss, self._loss = self._loss, 0.0
        smoothed = suggestion.smooth([*self.losses, loss])
        if not math.isfinite(loss):
            self.ended, trainer.should_stop = "loss", True
            return
        self.losses.append(loss)
        if smoothed[-1] > HOPELESS * min(smoothed):
            self.ended, trainer.should_stop = "loss", True
        elif trainer.global_step % TOLD == 0:
            self._tell(trainer.global_step)

    def _tell(self, step: int) -> None:
        left = (time.monotonic() - self._began) / step * (STEPS - step)
        self._emit({"event": "step", "step": step, "steps": STEPS, "seconds_left": round(left)})
