"""One Lightning fit: resumed if it was cut off, its best checkpoint by validation loss kept."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from safetensors.torch import save

from convoy.architectures.weights import load
from convoy.classifier import Classifier
from convoy.datamodule import Batches, DataModule
from convoy.errors import ConvoyError, NotReproducible, RecipeFailed, Stopped
from convoy.files import read_json, write_atomically, write_json
from convoy.fine_tuning import normalisation
from convoy.losses import Diverged
from convoy.programs.entry import Emit
from convoy.recipe import Recipe
from convoy.training import acceleration, checkpoints, ranks
from convoy.training.callbacks import History, callbacks
from convoy.training.checkpoints import Saved
from convoy.training.divergence import explained
from convoy.training.spec import Beginning, Ended, TrainingResult, TrainingSpec, finished

HALVINGS = 3
"""How many times a batch is halved where it does not fit the memory."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train as the spec says, unless its folder holds the finished result. Return the result."""
    return fit(TrainingSpec.model_validate(spec), emit).model_dump()


def fit(spec: TrainingSpec, emit: Emit) -> TrainingResult:
    """Train, resuming from the folder's newest whole checkpoint, and write `result.json` last.

    Emits {"event": "epoch", "epoch", "epochs", "seconds", "metrics"} after each epoch, with "kept",
    their number, those from before a training was cut off, and {"event": "note", "text"} for what
    was decided on the way. A batch that does not fit the memory
    is taken in twice as many parts, so that what is learnt from it stays.
    """
    folder = Path(spec.folder)
    if done := finished(folder):
        return done
    # Lightning's advice on loggers and accelerators is for those who write Trainers by hand.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    if spec.devices > 1 and ranks.world() == 1:
        ranks.run(spec, emit)
        if done := finished(folder):
            return done
        raise ConvoyError(f"the training of {spec.architecture} left no whole result in {folder}.")
    while (result := _attempt(spec, emit)) is None:
        torch.cuda.empty_cache()
    return result


def _attempt(spec: TrainingSpec, emit: Emit) -> TrainingResult | None:
    """Train; where the memory is too small, remember it, and return None to try again."""
    folder, parts = Path(spec.folder), _parts(spec)
    try:
        return _fit(spec, parts, emit)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    most = min(spec.recipe.batch_size, spec.recipe.accumulate << HALVINGS)
    if 2 * parts > most or ranks.world() > 1:  # there each would have to know of the other
        raise RecipeFailed(
            f"{spec.architecture} does not fit the memory even with its batch of "
            f"{spec.recipe.batch_size} images in {parts} parts: lower batch_size in params.yaml."
        )
    for saved in checkpoints.found(folder / "checkpoints", checkpoints.WITHIN):
        saved.path.unlink()  # they count in the larger parts
    write_json(folder / "parts.json", 2 * parts)
    text = f"memory ran out: takes each batch in {2 * parts} parts"
    emit({"event": "note", "text": text, "parts": 2 * parts})
    return None


def out_of_memory(error: BaseException) -> bool:
    """Tell whether a device or the processor had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _parts(spec: TrainingSpec) -> int:
    """Return in how many parts a batch is taken, which a folder remembers."""
    found = read_json(Path(spec.folder) / "parts.json")
    return found if isinstance(found, int) else spec.recipe.accumulate


def _fit(spec: TrainingSpec, parts: int, emit: Emit) -> TrainingResult:
    folder, recipe = Path(spec.folder), spec.recipe
    data = DataModule(spec.files, recipe, spec.seed, spec.reader, parts)
    classifier = fresh(spec, data)
    resumed = _resumed(folder / "checkpoints")
    if spec.weights and resumed is None:
        load(classifier.network, spec.architecture, Path(spec.weights))
    history = History(folder / "metrics.jsonl", _epochs(resumed), emit)
    chosen = callbacks(recipe, folder / "checkpoints", history)
    if acceleration.compiling(spec.compiled, _device(spec), spec.deterministic):
        chosen.append(acceleration.Compiling(lambda text: emit({"event": "note", "text": text})))
    if ranks.world() > 1:
        chosen.append(ranks.EndingTogether())
    trainer = pl.Trainer(
        **conditions(spec, parts),
        devices=spec.devices,
        strategy="ddp" if ranks.world() > 1 else "auto",
        use_distributed_sampler=False,  # the batches know their shares
        max_epochs=recipe.epochs,
        callbacks=chosen,
        plugins=[checkpoints.Generations()],
    )
    stopped = f"the training of {spec.architecture} was stopped: run again, it goes on from there."
    try:
        path = resumed.path if resumed else None
        trainer.fit(classifier, datamodule=data, ckpt_path=path, weights_only=True)
    except Diverged as error:
        raise explained(error, spec, classifier, data) from None
    except SIGTERMException:  # which alone would end the process with code 0
        raise Stopped(stopped) from None
    if trainer.interrupted:
        raise Stopped(stopped)
    reader = cast(Batches, trainer.train_dataloader).reader.kind
    told = {
        "device": str(trainer.strategy.root_device),
        "precision": acceleration.precision(recipe.precision, _device(spec)),
        "compiled": classifier.compiled is not None,
        "reader": reader,
        "parts": parts,
    }
    return _finish(spec, classifier, history.rows, told)


def fresh(spec: Beginning, data: DataModule) -> Classifier:
    """Return the network that a training begins with, its weights drawn by the seed."""
    recipe = spec.recipe
    manifest = json.loads(Path(spec.files["manifest.json"]).read_bytes())
    mean, std = normalisation(spec.architecture, recipe.weights, manifest["mean"], manifest["std"])
    pl.seed_everything(spec.seed, verbose=False)
    return Classifier(
        name=spec.architecture,
        num_classes=len(manifest["classes"]),
        image_size=manifest["image_size"],
        channels=manifest["channels"],
        mean=mean,
        std=std,
        recipe=recipe.model_dump(),
        seed=spec.seed,
        steps=data.steps(ranks.world()),
        class_weights=data.class_weights(),
    )


def conditions(spec: Beginning, parts: int) -> dict[str, Any]:
    """Return the Trainer's arguments that are the same for all that trains a network."""
    precision = acceleration.precision(spec.recipe.precision, _device(spec))
    return {
        "accelerator": spec.device,
        "precision": "bf16-mixed" if precision == "bfloat16" else "32-true",
        "accumulate_grad_batches": parts,
        "gradient_clip_val": spec.recipe.clip,
        "deterministic": spec.deterministic,
        "benchmark": not spec.deterministic,  # all batches but the last have one shape
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }


def _device(spec: Beginning) -> torch.device:
    gpu = spec.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")


def _finish(
    spec: TrainingSpec, classifier: Classifier, rows: list[dict[str, Any]], told: dict[str, Any]
) -> TrainingResult:
    """Keep the best checkpoint's weights and write the result."""
    folder = Path(spec.folder)
    state = checkpoints.best(folder / "checkpoints")
    if state is None:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        raise NotReproducible(
            f"the best checkpoint in {folder / 'checkpoints'} is missing or damaged: run again, "
            f"the training starts over."
        )
    classifier.load_state_dict(state["state_dict"])
    weights = classifier.network.cpu().state_dict()
    whole = save({name: tensor.contiguous() for name, tensor in weights.items()})
    best = next(row for row in rows if row["epoch"] == state["epoch"] + 1)
    result = TrainingResult(
        key=spec.key(),
        architecture=spec.architecture,
        weights_sha256=hashlib.sha256(whole).hexdigest(),
        best_epoch=best["epoch"],
        epochs=len(rows),
        val_loss=best["metrics"]["val/loss"],
        val_accuracy=best["metrics"]["val/accuracy"],
        seconds=rows[-1]["seconds"],
        ended=_ended(spec.recipe, rows),
        **told,
    )
    if ranks.is_first():
        write_atomically(folder / "model.safetensors", whole)
        write_json(folder / "result.json", result.model_dump())
    return result


def _resumed(folder: Path) -> Saved | None:
    """Return the checkpoint to go on from; of several processes, all go on from the same."""
    if ranks.world() > 1:
        return next(iter(checkpoints.found(folder, checkpoints.LAST, checkpoints.WITHIN)), None)
    return checkpoints.resumable(folder)


def _epochs(resumed: Saved | None) -> int:
    """Return how many epochs a checkpoint has behind it."""
    if resumed is None:
        return 0
    return int(resumed.load()["epoch"]) + (resumed.kind == checkpoints.LAST)


def _ended(recipe: Recipe, rows: list[dict[str, Any]]) -> Ended:
    """Return why a training that is over has no more epochs."""
    if len(rows) == recipe.epochs:
        return "epochs"
    losses = [row["metrics"]["val/loss"] for row in rows]
    since = len(losses) - 1 - losses.index(min(losses))
    return "patience" if recipe.patience and since >= recipe.patience else "budget"
