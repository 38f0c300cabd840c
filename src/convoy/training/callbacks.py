"""What is done at the ends of steps and epochs: Lightning's own callbacks, and two of ours."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, Timer
from pytorch_lightning.utilities.exceptions import SIGTERMException

from convoy.files import write_atomically
from convoy.programs.entry import Emit
from convoy.recipe import Recipe
from convoy.training.checkpoints import BEST, LAST, WITHIN
from convoy.training.ranks import is_first

WITHIN_EVERY = timedelta(minutes=5)
"""How much of a long epoch a kill may cost."""


class History(pl.Callback):
    """Each epoch's metrics: kept in a file, told to whoever follows."""

    def __init__(self, file: Path, epochs: int, emit: Emit) -> None:
        """Go on behind the first `epochs` of what the file tells."""
        lines = file.read_text().splitlines()[:epochs] if file.is_file() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.file = file
        self.emit = emit
        self.began = time.monotonic() - (self.rows[-1]["seconds"] if self.rows else 0.0)
        if is_first():
            for row in self.rows:
                emit({**row, "kept": len(self.rows)})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row = {
            "event": "epoch",
            "epoch": trainer.current_epoch + 1,
            "epochs": trainer.max_epochs,
            "seconds": round(time.monotonic() - self.began, 3),
            "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
        }
        self.rows.append(row)
        if trainer.is_global_zero:
            lines = "".join(json.dumps(row) + "\n" for row in self.rows)
            write_atomically(self.file, lines.encode())
            self.emit(row)


class Patience(EarlyStopping):
    """Ends a training whose validation loss falls no more; one that goes on after that too."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class WithinEpochs(ModelCheckpoint):
    """Saves in the middle of a long epoch, and when the training is asked to end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            WITHIN,
            train_time_interval=WITHIN_EVERY,
            save_on_exception=True,
            enable_version_counter=False,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        # Behind its last batch an epoch has only its validation to come, which Lightning would
        # leave out when it goes on from there.
        if not trainer.is_last_batch:
            super().on_train_batch_end(trainer, *arguments)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, SIGTERMException) and not trainer.is_last_batch:
            super().on_exception(trainer, pl_module, exception)


def callbacks(recipe: Recipe, folder: Path, history: History) -> list[pl.Callback]:
    """Return the callbacks of a training whose checkpoints lie in `folder`."""
    best = ModelCheckpoint(
        folder,
        BEST,
        monitor="val/loss",
        # Lightning puts the averaged weights into whole checkpoints alone.
        save_weights_only=recipe.ema is None,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(folder, LAST, save_on_train_epoch_end=True, enable_version_counter=False)
    chosen: list[pl.Callback] = []
    if recipe.ema is not None:
        chosen.append(EMAWeightAveraging(decay=recipe.ema))
    if recipe.patience is not None:
        chosen.append(Patience("val/loss", patience=recipe.patience))
    if recipe.budget is not None:
        chosen.append(Timer(timedelta(seconds=recipe.budget), interval="step", verbose=False))
    # In this order: the last checkpoint, written at the end of the epoch, knows the best one.
    return [*chosen, history, best, WithinEpochs(folder), last]
