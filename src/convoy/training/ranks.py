"""One training on several devices: a process each, started by PyTorch's own launcher.

Lightning's launcher would run the command line again that started it, and with it whatever that
does besides. This one starts `python -m convoy.training` and nothing else.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from convoy import errors
from convoy.errors import ConvoyError, Stopped
from convoy.files import write_json
from convoy.programs import cores
from convoy.programs.entry import Emit
from convoy.training import checkpoints
from convoy.training.spec import TrainingSpec

ASKED_EVERY = 10
"""Batches between two times that the processes ask each other whether to end."""


def world() -> int:
    """Return how many processes train together, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tell whether this process is the one that writes and tells."""
    return os.environ.get("RANK", "0") == "0"


def run(spec: TrainingSpec, emit: Emit) -> None:
    """Train on `spec.devices` devices, until all processes have ended.

    Raises what one of them refused, and `ConvoyError` where one failed.
    """
    folder = Path(spec.folder)
    checkpoints.resumable(folder / "checkpoints")  # what is damaged goes before they look
    write_json(folder / "spec.json", spec.model_dump(mode="json"))
    # The launcher ends with us, and its processes with it. It is asked by us alone, and once: a
    # second signal would have it leave its processes.
    command = [sys.executable, "-m", "convoy.programs.guarded", sys.executable, "-m"]
    command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={spec.devices}"]
    command += ["-m", "convoy.training", str(folder / "spec.json")]
    refusal: ConvoyError | None = None
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(
            command, stdout=pipe, text=True, env=_environ(spec), start_new_session=True
        ) as launcher,
        _passed_on(launcher) as asked,
    ):
        assert launcher.stdout
        for line in launcher.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # what a library prints
            match event:
                case {"event": "refused", "kind": str(kind), "message": str(message)}:
                    refusal = getattr(errors, kind)(message)
                case {"event": "failed", "message": str(message)}:
                    refusal = refusal or ConvoyError(f"a training process failed ({message}).")
                case {"event": "epoch" | "note"}:
                    emit(event)
    if asked and launcher.returncode:
        raise Stopped(
            f"the training of {spec.architecture} was stopped: run again, it goes on from there."
        )
    if refusal:
        raise refusal
    if launcher.returncode:
        raise ConvoyError(
            f"the {spec.devices} processes of the training of {spec.architecture} ended with code "
            f"{launcher.returncode}: run again, it goes on from the last checkpoint."
        )


@contextmanager
def _passed_on(launcher: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Pass SIGTERM on to the launcher; what is yielded tells whether one came."""
    asked: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        if not asked:
            launcher.terminate()
        asked.append(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


class EndingTogether(pl.Callback):
    """Ends all processes behind the same batch where one of them is asked to, by SIGTERM.

    Lightning's own handler talks to the other processes from within the signal, in the midst of
    whatever they are saying to each other, and they wait for each other for ever.
    """

    def __init__(self) -> None:
        self._asked = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = True

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if batch_idx % ASKED_EVERY == 0 and not trainer.is_last_batch:
            asked = torch.tensor(float(self._asked), device=pl_module.device)
            if float(trainer.strategy.reduce(asked, reduce_op="sum")):
                raise SIGTERMException


def _environ(spec: TrainingSpec) -> dict[str, str]:
    """Return an environment in which each process finds its own share of the cores."""
    found = cores.available()
    most = int(cores.share(0, spec.devices, found)["OMP_NUM_THREADS"])
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(most, int(asked)) if asked.isdecimal() else most  # the launcher would say 1
    kept = {name: value for name, value in os.environ.items() if name != "OMP_PLACES"}
    return {**kept, **cores.told(found), "OMP_NUM_THREADS": str(threads)}
