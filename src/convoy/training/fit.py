"""One Lightning fit: resumed if it was cut off, its best checkpoint by validation loss kept."""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from safetensors.torch import save

from convoy import digests
from convoy.classifier import Classifier
from convoy.datamodule import DataModule
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import write_atomically, write_json
from convoy.programs.entry import Emit
from convoy.training.spec import TrainingResult, TrainingSpec, finished, training_key


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train as the spec says, unless its folder holds the finished result. Return the result."""
    return fit(TrainingSpec.model_validate(spec), emit).model_dump()


def fit(spec: TrainingSpec, emit: Emit) -> TrainingResult:
    """Train, resuming from the folder's last whole checkpoint, and write `result.json` last.

    Emits {"event": "epoch", "epoch", "epochs", "seconds", "metrics"} after each epoch.
    """
    folder = Path(spec.folder)
    if done := finished(folder):
        return done
    # Lightning's advice on loggers and accelerators is for those who write Trainers by hand.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.loads(Path(spec.files["manifest.json"]).read_bytes())
    pl.seed_everything(spec.seed, verbose=False)
    classifier = Classifier(
        name=spec.architecture,
        num_classes=len(manifest["classes"]),
        image_size=manifest["image_size"],
        channels=manifest["channels"],
        mean=manifest["mean"],
        std=manifest["std"],
        recipe=spec.recipe.model_dump(),
        seed=spec.seed,
    )
    recipe = spec.recipe
    data = DataModule(spec.files, recipe.batch_size, spec.seed, recipe.shift, recipe.flip)
    # In this order: the last checkpoint, written at the end of the epoch, knows the best one.
    best = ModelCheckpoint(
        folder / "checkpoints",
        "best",
        monitor="val/loss",
        save_weights_only=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(
        folder / "checkpoints", "last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    resumed = _whole(folder / "checkpoints" / "last.ckpt")
    history = _History(folder / "metrics.jsonl", resumed["epoch"] + 1 if resumed else 0, emit)
    trainer = pl.Trainer(
        accelerator="auto" if spec.device == "auto" else spec.device,
        devices=1,
        max_epochs=spec.recipe.epochs,
        logger=False,
        callbacks=[best, last, history],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    checkpoint = folder / "checkpoints" / "last.ckpt" if resumed else None
    trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if trainer.interrupted:
        raise ConvoyError(
            f"the training of {spec.architecture} was stopped after epoch {trainer.current_epoch}: "
            f"run again, it goes on from there."
        )
    return _finish(spec, folder, classifier, history.rows, str(trainer.strategy.root_device))


def _whole(checkpoint: Path) -> dict[str, Any] | None:
    """Return a checkpoint's content; None where there is none, or one that cannot be read."""
    if not checkpoint.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return content
    except Exception:
        # A torn file raises whatever its bytes happen to mean; starting over loses only time.
        logging.getLogger(__name__).warning("%s is damaged: training starts over.", checkpoint)
        shutil.rmtree(checkpoint.parent)
        return None


class _History(pl.Callback):
    """Each epoch's metrics: kept in a file, told to whoever follows."""

    def __init__(self, file: Path, epoch: int, emit: Emit) -> None:
        lines = file.read_text().splitlines()[:epoch] if file.is_file() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.file = file
        self.emit = emit
        self.began = time.monotonic() - (self.rows[-1]["seconds"] if self.rows else 0.0)
        for row in self.rows:
            emit(row)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {
            "event": "epoch",
            "epoch": trainer.current_epoch + 1,
            "epochs": trainer.max_epochs,
            "seconds": round(time.monotonic() - self.began, 3),
            "metrics": metrics,
        }
        self.rows.append(row)
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_atomically(self.file, lines.encode())
        if any(value != value for value in metrics.values()):
            raise ConvoyError(
                f"the loss is not a number after epoch {row['epoch']}: lower learning_rate in "
                f"params.yaml (a tenth of it is a good first try)."
            )
        self.emit(row)


def _finish(
    spec: TrainingSpec,
    folder: Path,
    classifier: Classifier,
    rows: list[dict[str, Any]],
    device: str,
) -> TrainingResult:
    checkpoint = folder / "checkpoints" / "best.ckpt"
    state = _whole(checkpoint)
    if state is None:
        # Lightning says nothing when it could not write a checkpoint.
        shutil.rmtree(checkpoint.parent, ignore_errors=True)
        raise NotReproducible(
            f"{checkpoint} is missing or damaged: check the folder's rights and space and run "
            f"again, the training starts over."
        )
    classifier.load_state_dict(state["state_dict"])
    weights = classifier.network.cpu().state_dict()
    whole = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_atomically(folder / "model.safetensors", save(whole))
    best = next(row for row in rows if row["epoch"] == state["epoch"] + 1)
    result = TrainingResult(
        key=training_key(spec.architecture, spec.recipe, spec.seed, spec.version),
        architecture=spec.architecture,
        weights_sha256=digests.file(folder / "model.safetensors"),
        best_epoch=best["epoch"],
        epochs=len(rows),
        val_loss=best["metrics"]["val/loss"],
        val_accuracy=best["metrics"]["val/accuracy"],
        seconds=rows[-1]["seconds"],
        device=device,
    )
    write_json(folder / "result.json", result.model_dump())
    return result
