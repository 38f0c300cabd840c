"""One training on several devices: a process each, started by PyTorch's own launcher.

Lightning's launcher would run the command line again that started it, and with it whatever that
does besides. This one starts `python -m convoy.training` and nothing else.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from convoy import errors
from convoy.errors import ConvoyError
from convoy.files import write_json
from convoy.programs import cores
from convoy.programs.entry import Emit
from convoy.training import checkpoints
from convoy.training.spec import TrainingSpec


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
    # The launcher ends with us, and its processes with it.
    command = [sys.executable, "-m", "convoy.programs.guarded", sys.executable, "-m"]
    command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={spec.devices}"]
    command += ["-m", "convoy.training", str(folder / "spec.json")]
    refusal: ConvoyError | None = None
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, text=True, env=_environ(spec)) as launcher:
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
    if refusal:
        raise refusal
    if launcher.returncode:
        raise ConvoyError(
            f"the {spec.devices} processes of the training of {spec.architecture} ended with code "
            f"{launcher.returncode}: run again, it goes on from the last checkpoint."
        )


def _environ(spec: TrainingSpec) -> dict[str, str]:
    """Return an environment in which each process finds its own share of the cores."""
    found = cores.available()
    most = int(cores.share(0, spec.devices, found)["OMP_NUM_THREADS"])
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(most, int(asked)) if asked.isdecimal() else most  # the launcher would say 1
    kept = {name: value for name, value in os.environ.items() if name != "OMP_PLACES"}
    return {**kept, **cores.told(found), "OMP_NUM_THREADS": str(threads)}
