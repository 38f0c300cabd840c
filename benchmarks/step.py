"""A training step of Convoy against a bare PyTorch loop with the same network, batch and precision.

    python -m benchmarks.step [RESULT.json] [ARCHITECTURE ...]

On a GPU: `python -m benchmarks.gpu step`.

Both sides take their steps in one process, by turns: an epoch of Lightning's, as `convoy.training`
sets it up, then as many steps of a loop that gathers the same batches by index, normalises them and
steps. So whatever else the machine does, it does to both.
"""

import gc
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

from benchmarks.devices import clock, forget_peak, peak
from benchmarks.rows import Row, keep
from convoy.architectures import build, describe
from convoy.classifier import Classifier
from convoy.datamodule import Batches
from convoy.preprocessing import Preprocessing
from convoy.programs import cores
from convoy.readers import Resident
from convoy.recipe import Recipe
from convoy.training.acceleration import precision
from convoy.training.callbacks import History, callbacks

CLASSES = 10
TURNS = 15
CPU = torch.device("cpu")


class Case(NamedTuple):
    channels: int
    side: int
    batch: int
    steps: int
    """Of a turn, so that it takes some tenths of a second at least."""
    bound: float
    turns: int = TURNS
    """Of each side, two or more; the first one is not counted."""


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
        keep(result, " ".join(("python -m benchmarks.step RESULT.json", *names)), rows)
    return int(not all(row.holds for row in rows))


def _row(name: str, case: Case) -> Row:
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        turns = measured(name, case, Path(scratch))
    return compared(name, case, turns.ours, turns.bare, case.bound, turns.processor)


def compared(
    name: str,
    case: Case,
    ours: list[float],
    bare: list[float],
    bound: float | None,
    processor: Sequence[float] = (),
) -> Row:
    """Return how many times a bare step Convoy's takes, from the seconds of the turns.

    `processor` is the same of the processor's time, turn by turn, which other programs alter less.
    """
    ratios = [one / other for one, other in zip(ours[1:], bare[1:], strict=True)]
    told: dict[str, float] = {
        "convoy_ms": round(1000 * statistics.median(ours[1:]) / case.steps, 3),
        "bare_ms": round(1000 * statistics.median(bare[1:]) / case.steps, 3),
        "batch": case.batch,
        "side": case.side,
        "steps_a_turn": case.steps,
        "turns": len(ratios),
        "threads": torch.get_num_threads(),
    }
    if len(ratios) > 1:
        told["ratio, first quartile"], _, told["third"] = statistics.quantiles(ratios)
    if processor:
        told["ratio of the processor's time"] = round(statistics.median(processor[1:]), 4)
    title = f"{name}, batch {case.batch}, step to bare step"
    return Row(title, statistics.median(ratios), bound, detail=told)


def measured(name: str, case: Case, scratch: Path, device: torch.device = CPU) -> "Turns":
    """Return the turns of Convoy and of the bare loop."""
    images, labels = _images(case, device)
    turns = Turns(device, BareLoop(name, case, images, labels))
    _fit(name, case, images, labels, scratch, turns)
    turns.loop = None
    return turns


def peaks(name: str, case: Case, scratch: Path, device: torch.device) -> tuple[int, int]:
    """Return the most bytes that Convoy and the bare loop hold, each alone, after a first turn."""
    images, labels = _images(case, device)
    _fit(name, case, images, labels, scratch, turns := Turns(device))
    ours = turns.peaks[1:]
    del turns
    _release(device)
    loop = BareLoop(name, case, images, labels)
    loop.turn()  # libraries choose their kernels, and try some that take more
    forget_peak(device)
    for _ in ours:
        loop.turn()
    return max(ours), peak(device)


def _release(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _images(case: Case, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (case.batch * case.steps, case.side, case.side, case.channels)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (len(images),), generator=generator)
    return images.to(device), labels.to(device)


def _preprocessing(case: Case) -> Preprocessing:
    channels: Any = "gray" if case.channels == 1 else "rgb"
    return Preprocessing(case.side, channels, [127.5] * case.channels, [64.0] * case.channels)


def _fit(
    name: str, case: Case, images: torch.Tensor, labels: torch.Tensor, scratch: Path, turns: "Turns"
) -> None:
    """Have Lightning take the turns as `convoy.training` sets it up."""
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="cosine",
        label_smoothing=0.0,
        epochs=case.turns,
        batch_size=case.batch,
    )
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    scratch.mkdir(parents=True, exist_ok=True)
    preprocessing = _preprocessing(case)
    classifier = Classifier(
        name,
        CLASSES,
        case.side,
        preprocessing.channels,
        preprocessing.mean.flatten().tolist(),
        preprocessing.std.flatten().tolist(),
        recipe.model_dump(),
        seed=1,
        steps=case.turns * case.steps,
    )
    history = History(scratch / "metrics.jsonl", 0, lambda event: None)
    trainer = pl.Trainer(
        accelerator=images.device.type,
        devices=1,
        precision="bf16-mixed" if in_half(images.device) else "32-true",
        benchmark=True,
        max_epochs=case.turns,
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


def in_half(device: torch.device) -> bool:
    """Tell whether both sides compute in bfloat16: as a training does whose recipe says nothing."""
    return precision(None, device) == "bfloat16"


class BareLoop:
    """What one writes by hand: gather, normalise, forward, backward, step, schedule."""

    def __init__(self, name: str, case: Case, images: torch.Tensor, labels: torch.Tensor) -> None:
        torch.manual_seed(1)
        device = images.device
        network = build(name, num_classes=CLASSES, in_channels=case.channels, image_size=case.side)
        self.network: torch.nn.Module = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = describe(name).loss
        self.criterion = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            network.parameters(),
            lr=0.01,
            momentum=0.9,
            weight_decay=5e-4,
            fused=device.type == "cuda",
        )
        steps = case.turns * case.steps
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.images, self.labels = images.permute(0, 3, 1, 2), labels
        self.batch = case.batch
        self.normalise = _preprocessing(case).to(device).normalise
        self.half = torch.autocast(device.type, torch.bfloat16, enabled=in_half(device))

    def turn(self) -> None:
        self.network.train()
        order = torch.randperm(len(self.labels)).to(self.labels.device)
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            self.optimizer.zero_grad()
            with self.half:
                outputs = self.network(self.normalise(self.images[chosen]))
                loss: torch.Tensor = self.loss(outputs, self.labels[chosen], self.criterion)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()


class Turns(pl.Callback):
    """Watches each epoch's steps, and then times as many of the bare loop where there is one."""

    def __init__(self, device: torch.device, bare: BareLoop | None = None) -> None:
        self.device = device
        self.loop = bare
        self.ours: list[float] = []
        """Seconds."""
        self.bare: list[float] = []
        self.processor: list[float] = []
        """How many times the bare loop's time of the processor, all cores together."""
        self.peaks: list[int] = []
        """Bytes, in `ours`."""
        self.began = self.used = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        forget_peak(self.device)
        self.began, self.used = clock(self.device), time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ours.append(clock(self.device) - self.began)
        self.used = time.process_time() - self.used
        self.peaks.append(peak(self.device))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.loop is None:
            return
        with torch.enable_grad():
            began, used = clock(self.device), time.process_time()
            self.loop.turn()
            self.bare.append(clock(self.device) - began)
            self.processor.append(self.used / (time.process_time() - used))


if __name__ == "__main__":
    if (
        "OMP_PROC_BIND" not in os.environ
    ):  # as the launcher of trainings has it; torch reads it once
        command = [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **cores.told(cores.available())})
    arguments = sys.argv[1:]
    place = Path(arguments.pop(0)) if arguments and arguments[0].endswith(".json") else None
    sys.exit(main(place, tuple(arguments)))
