"""What makes steps faster, used where it was seen to help: bfloat16, and a compiled network."""

import logging
import shutil
import time
from collections.abc import Callable
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from convoy.classifier import Classifier
from convoy.recipe import Precision
from convoy.training.ranks import world

WARM_UP = 20
"""Steps not timed: libraries choose their kernels in them, and a compiler compiles."""
TIMED = 30
"""Steps that one way of running a network is judged by."""
COST = 60.0
"""Seconds of training that compiling may take."""
GAIN = 0.4
"""The most of a step that a compiled network has been seen to save."""
LAUNCHES = 0.005
"""Seconds below which a GPU's step mostly waits for kernels to be launched: CUDA graphs help."""


def precision(told: Precision | None, device: torch.device) -> Precision:
    """Return what a training on `device` computes in, where its recipe leaves that open.

    On a processor bfloat16 was faster by a tenth to a third where it has the instructions, and
    emulated where it has not: there it is left to the recipe.
    """
    if told is not None:
        return told
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def pays(seconds: float, left: int) -> bool:
    """Tell whether compiling can win back its cost, with so many steps left of so many seconds."""
    return seconds * left * GAIN > COST


Stage = Literal["measuring", "compiled", "settled"]


class Compiling(pl.Callback):
    """Runs the network compiled from the middle of a training on, where that pays.

    The first steps are timed as they are. Where enough of them are left to win back the time of
    compiling, the same number are timed compiled, and the faster way stays. Tiny networks on a GPU
    become CUDA graphs. What cannot be compiled goes on as it was.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self.stage: Stage = "measuring"
        self.uncompiled = 0.0
        """Seconds of a step."""
        self._steps = 0
        self._began = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps = min(self._steps, WARM_UP - 1)  # what lies between two epochs is no step's

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any
    ) -> None:
        if self.stage == "settled":
            return
        self._steps += 1
        if self._steps == WARM_UP:
            self._began = _now(pl_module.device)
        if self._steps < WARM_UP + TIMED:
            return
        seconds = (_now(pl_module.device) - self._began) / TIMED
        self._steps = 0
        assert isinstance(pl_module, Classifier)
        if self.stage == "measuring":
            self.uncompiled = seconds
            done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
            left = int(trainer.num_training_batches) * (trainer.max_epochs or 1) - done
            self._compile(trainer, pl_module, left)
        elif seconds < self.uncompiled:
            self._settle(f"compiled, {self.uncompiled / seconds:.2f} times as fast")
        else:
            pl_module.compiled = None
            self._settle("not compiled: measured, it was no faster")

    def _compile(self, trainer: pl.Trainer, classifier: Classifier, left: int) -> None:
        if not pays(self.uncompiled, left):
            self.stage = "settled"
            return
        graphs = classifier.device.type == "cuda" and self.uncompiled < LAUNCHES
        # Gradients of parts that add up would lie in memory that the next replay writes over.
        graphs = graphs and trainer.accumulate_grad_batches == 1
        mode = "reduce-overhead" if graphs else "default"
        compiled: Callable[[torch.Tensor], Any] | None = None

        def run(images: torch.Tensor) -> Any:
            nonlocal compiled
            try:
                if compiled is None:
                    compiled = torch.compile(classifier.network.forward, mode=mode, dynamic=False)
                if graphs:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                return compiled(images)
            except Exception as error:
                # A compiler fails with whatever its back end raises. Nothing is lost: the same
                # step is taken as before, and says by itself what else is wrong with it.
                logging.getLogger(__name__).warning("compiling failed: %s", error)
                classifier.compiled = None
                self._settle("not compiled: the compiler failed, see the log")
                return classifier.network(images)

        classifier.compiled = run
        self.stage = "compiled"

    def _settle(self, text: str) -> None:
        self.stage = "settled"
        self.note(text)


def compiling(told: bool | None, device: torch.device, deterministic: bool) -> bool:
    """Tell whether a training may try a compiled network; `told` overrides the rule for devices.

    On a processor it saved at most some hundredths of a step and cost up to a minute, so that it is
    tried on GPUs alone; never where the same bits are wanted each time, because when it starts
    depends on the clock; nor without a C++ compiler, which it needs, or on several devices.
    """
    if deterministic or told is False or world() > 1:
        return False
    if shutil.which("c++") is None and shutil.which("g++") is None:
        return False
    return told or device.type == "cuda"


def _now(device: torch.device) -> float:
    """Return the time at which all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
