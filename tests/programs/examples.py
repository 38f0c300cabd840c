"""Programs for the launcher to run: each behaves as one kind of training can."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from convoy.errors import ConvoyError, DataRefused, NotReproducible
from convoy.programs.entry import Emit

REFUSALS: dict[str, type[ConvoyError]] = {
    "ConvoyError": ConvoyError,
    "DataRefused": DataRefused,
    "NotReproducible": NotReproducible,
}


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Do what `spec["do"]` says."""
    emit({"event": "began", "pid": os.getpid()})
    match spec["do"]:
        case "answer":
            return {"square": spec["number"] ** 2}
        case "tell what is imported":
            return {"imported": spec["module"] in sys.modules}
        case "print":
            print('{"event": "result", "result": {"forged": true}}', flush=True)  # noqa: T201
            sys.stderr.write("on standard error\n")
            subprocess.run(["echo", '{"event": "ended", "code": 0}'], check=True)
            emit({"event": "epoch", "epoch": 1})
            return {"printed": True}
        case "refuse":
            raise REFUSALS[spec["kind"]]("because of this")
        case "fail":
            raise ZeroDivisionError("by nothing")
        case "read":
            return {"read": sys.stdin.read()}
        case "leave":
            os._exit(spec["code"])
        case "exit":
            sys.exit(0)
        case "die":
            os.kill(os.getpid(), spec["signal"])
        case "sleep":
            time.sleep(600)
        case "ignore the signal":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            emit({"event": "deaf"})
            time.sleep(600)
        case "have a child":
            child = subprocess.Popen(["sleep", "600"])
            emit({"event": "child", "pid": child.pid})
            child.wait()
        case "train":
            return train(spec, emit)
        case "save":
            save(Path(spec["folder"]), Path(spec["elsewhere"]), spec["kill_after_ms"] / 1000)
        case "save without the right to":
            without_rights(Path(spec["folder"]))
            save(Path("checkpoints"), Path(spec["folder"]), 60)
    return {}


def train(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train; kill yourself some milliseconds after the epoch that `spec` names has begun to end."""

    from convoy.training import fit

    def follow(event: dict[str, Any]) -> None:
        emit(event)
        if event.get("epoch") == spec["kill_epoch"]:
            delay = spec["kill_after_ms"] / 1000
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    return fit.main(spec["spec"], follow)


def save(folder: Path, elsewhere: Path, seconds: float) -> None:
    """Save checkpoints until you are killed, so many seconds after the first one.

    Temporary files go elsewhere.
    """
    import torch

    from convoy.training.checkpoints import Generations, resumable

    tempfile.tempdir = str(elsewhere)
    newest = resumable(folder)
    first = newest.step + 1 if newest else 1
    for step in range(first, 10**6):
        weights = torch.full((2_000_000,), float(step))
        content = {"global_step": step, "weights": weights}
        Generations().save_checkpoint(content, folder / "last.ckpt")
        if step == first:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()


def without_rights(folder: Path) -> None:
    """Go on in a folder as a user who may read there and no more."""
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints").chmod(0o555)
    folder.chmod(0o755)
    os.chdir(folder)
    if os.getuid() == 0:  # whom no right binds
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
