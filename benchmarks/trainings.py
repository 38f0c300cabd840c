"""Trainings by Convoy's own program, each a process, and how often their networks are right."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from benchmarks.datasets import ROOT
from convoy.architectures import build
from convoy.datamodule import read_split
from convoy.files import read_json, write_json
from convoy.preprocessing import Preprocessing
from convoy.recipe import Recipe
from convoy.training.spec import TrainingSpec, finished, history

BATCH = 1000
"""Images at once when a network is tested."""


class Trained(NamedTuple):
    seconds: float
    """Of the program as a whole, imports and checkpoints with it."""
    cpu: float
    """Seconds of the processor that it took, all cores together."""
    accuracy: float
    """Share of the test images that the kept network gets right."""
    epochs: list[float]
    """Seconds from the start of the training to the end of each epoch."""
    compiled: bool
    """Whether the network ran compiled at the end."""
    precision: str


def train(
    name: str,
    recipe: Recipe,
    files: dict[str, str],
    folder: Path,
    device: torch.device,
    seed: int = 1,
) -> Trained:
    """Run `python -m convoy.training` in `folder`, which is made, and test what it leaves."""
    folder.mkdir(parents=True)
    spec = TrainingSpec(
        architecture=name,
        recipe=recipe,
        seed=seed,
        dataset="measured",
        version="benchmark",
        files=files,
        folder=str(folder),
        device=device.type,
    )
    write_json(folder / "spec.json", spec.model_dump(mode="json"))
    command = [sys.executable, "-m", "convoy.training", str(folder / "spec.json")]
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "TMPDIR": str(folder),
    }
    log = folder / "log.txt"
    with log.open("w") as stream:
        began, before = time.monotonic(), _cpu_of_children()
        done = subprocess.run(command, env=environ, stdout=stream, stderr=stream, check=False)
        seconds, cpu = time.monotonic() - began, _cpu_of_children() - before
    if done.returncode:
        raise SystemExit(f"the training of {name} ended with {done.returncode}:\n{_end(log)}")
    result = finished(folder)
    assert result is not None
    epochs = [row["seconds"] for row in history(folder)]
    right = accuracy(spec, device)
    return Trained(seconds, cpu, right, epochs, result.compiled, result.precision)


def _cpu_of_children() -> float:
    """Return the seconds of the processor of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


def accuracy(spec: TrainingSpec, device: torch.device) -> float:
    """Return the share of the test images that a training's network gets right, in float32."""
    manifest: Any = read_json(Path(spec.files["manifest.json"]))
    side, channels = manifest["image_size"], manifest["channels"]
    network = build(
        spec.architecture,
        num_classes=len(manifest["classes"]),
        in_channels=len(manifest["mean"]),
        image_size=side,
        options=spec.recipe.options,
    )
    network.load_state_dict(load_file(Path(spec.folder) / "model.safetensors"))
    network.eval().to(device)
    preprocessing = Preprocessing(side, channels, manifest["mean"], manifest["std"]).to(device)
    images, labels = read_split(spec.files, "test")
    with torch.no_grad():
        answers = [
            network(preprocessing.normalise(part.to(device).permute(0, 3, 1, 2))).argmax(1).cpu()
            for part in torch.split(images, BATCH)
        ]
    return float((torch.cat(answers) == labels).float().mean())
