"""A training step of Convoy against a bare PyTorch loop with the same network, batch and precision.

    python -m benchmarks.step [RESULT.json] [ARCHITECTURE ...]

Both sides take their steps in one process, by turns: an epoch of Lightning's, as `convoy.training`
sets it up, then as many steps of a loop that gathers the same batches by index, normalises them and
steps. So whatever else the machine does, it does to both.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

from benchmarks.ingestion import Row, machine
from convoy.architectures import build, describe
from convoy.classifier import Classifier
from convoy.datamodule import Batches
from convoy.preprocessing import Preprocessing
from convoy.readers import Resident
from convoy.recipe import Recipe
from convoy.training.callbacks import History, callbacks

CLASSES = 10
TURNS = 15
"""Of each side; the first one is not counted."""


class Case(NamedTuple):
    channels: int
    side: int
    batch: int
    steps: int
    """Of a turn, so that it takes some tenths of a second at least."""
    bound: float


CASES = {
    "mlp": Case(1, 28, 256, 100, 1.15),
    "lenet5": Case(1, 32, 256, 60, 1.15),
    "resnet20": Case(3, 32, 128, 4, 1.02),
    "vgg11_bn": Case(3, 32, 128, 4, 1.02),
}


def main(result: Path | None, names: tuple[str, ...] = ()) -> int:
    """Measure, print a table, keep it; return 1 where a bound is missed."""
    rows = []
    for name in names or tuple(CASES):
        rows.append(_row(name, CASES[name]))
        rows[-1].show()
    if result:
        told = {"machine": machine(), "rows": [{**r._asdict(), "holds": r.holds} for r in rows]}
        result.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(not all(row.holds for row in rows))


def _row(name: str, case: Case) -> Row:
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        ours, bare = measured(name, case, Path(scratch))
    ratios = [one / other for one, other in zip(ours[1:], bare[1:], strict=True)]
    milliseconds = {
        "convoy_ms": round(1000 * statistics.median(ours[1:]) / case.steps, 3),
        "bare_ms": round(1000 * statistics.median(bare[1:]) / case.steps, 3),
        "batch": case.batch,
        "steps_a_turn": case.steps,
        "turns": len(ratios),
    }
    title = f"{name}, batch {case.batch}, step to bare step"
    return Row(title, statistics.median(ratios), case.bound, detail=milliseconds)


def measured(name: str, case: Case, scratch: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of each turn, of Convoy and of the bare loop."""
    shape = (case.batch * case.steps, case.side, case.side, case.channels)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (len(images),), generator=generator)
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="cosine",
        label_smoothing=0.0,
        epochs=TURNS,
        batch_size=case.batch,
    )
    channels: Any = "gray" if case.channels == 1 else "rgb"
    moments = ([127.5] * case.channels, [64.0] * case.channels)
    classifier = Classifier(
        name,
        CLASSES,
        case.side,
        channels,
        *moments,
        recipe.model_dump(),
        seed=1,
        steps=TURNS * case.steps,
    )
    turns = Turns(
        BareLoop(name, case, images, labels, Preprocessing(case.side, channels, *moments))
    )
    history = History(scratch / "metrics.jsonl", 0, lambda event: None)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=TURNS,
        logger=False,
        callbacks=[turns, *callbacks(recipe, scratch / "checkpoints", history)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    batches = Batches(
        Resident(images), labels, case.batch, seed=1, epoch=lambda: trainer.current_epoch
    )
    val = Batches(Resident(images[:2]), labels[:2], 2)
    trainer.fit(classifier, batches, val)
    return turns.ours, turns.bare


class BareLoop:
    """What one writes by hand: gather, normalise, forward, backward, step, schedule."""

    def __init__(
        self,
        name: str,
        case: Case,
        images: torch.Tensor,
        labels: torch.Tensor,
        preprocessing: Preprocessing,
    ) -> None:
        torch.manual_seed(1)
        network = build(name, num_classes=CLASSES, in_channels=case.channels, image_size=case.side)
        self.network: torch.nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = describe(name).loss
        self.criterion = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4
        )
        steps = TURNS * case.steps
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.images, self.labels = images.permute(0, 3, 1, 2), labels
        self.batch = case.batch
        self.normalise = preprocessing.normalise

    def turn(self) -> None:
        self.network.train()
        order = torch.randperm(len(self.labels))
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            self.optimizer.zero_grad()
            outputs = self.network(self.normalise(self.images[chosen]))
            loss: torch.Tensor = self.loss(outputs, self.labels[chosen], self.criterion)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()


class Turns(pl.Callback):
    """Times each epoch's steps, and then as many of the bare loop."""

    def __init__(self, bare: BareLoop) -> None:
        self.loop = bare
        self.ours: list[float] = []
        self.bare: list[float] = []
        self.began = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ours.append(time.perf_counter() - self.began)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with torch.enable_grad():
            began = time.perf_counter()
            self.loop.turn()
            self.bare.append(time.perf_counter() - began)


if __name__ == "__main__":
    if (
        "OMP_PROC_BIND" not in os.environ
    ):  # as the launcher of trainings has it; torch reads it once
        command = [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "OMP_PROC_BIND": "true"})
    arguments = sys.argv[1:]
    place = Path(arguments.pop(0)) if arguments and arguments[0].endswith(".json") else None
    sys.exit(main(place, tuple(arguments)))
