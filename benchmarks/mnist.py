"""MNIST to 99 %: Convoy's training program against the well-known plain PyTorch example.

    python -m benchmarks.mnist [RESULT.json]

The peer is the network and recipe of the example that most people meet first (two convolutions,
Adadelta, batches of 64), written anew with its images in memory: its time is that until an epoch
ends with 99 % of the test images right. Convoy's is that of `python -m convoy.training SPEC.json`
as a whole, imports and checkpoints with it, once a seed. Its seeds and the example's epochs take
turns, and the processor's time, which other programs alter less, is told beside.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.datasets import MNIST, ROOT, dataset_of, prepared
from benchmarks.rows import Row, keep
from benchmarks.trainings import Trained, train
from convoy import architectures
from convoy.datamodule import read_split
from convoy.programs import cores
from convoy.recipe import Recipe
from convoy.settings import load
from convoy.splits import SPLITS

SEEDS = (1, 2, 3, 4, 5)
WANTED = 0.99
MOST = 14
"""Epochs of the example, as published."""
CPU = torch.device("cpu")


def recipe_of(name: str) -> Recipe:
    """Return the recipe that `params.yaml` has for a network on MNIST."""
    return load(ROOT / "params.yaml", architectures.names(), dataset="mnist").recipe(name)


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where a bound is missed."""
    if not MNIST.exists():
        print("mnist: skipped, needs mnist in shared/data beside the repository")
        return 0
    rows = []
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        for row in _rows(Path(scratch)):
            rows.append(row)
            row.show()
    if result:
        keep(result, "python -m benchmarks.mnist RESULT.json", rows)
    return int(not all(row.holds for row in rows))


def _rows(scratch: Path) -> Iterator[Row]:
    files = {
        side: prepared(dataset_of("mnist", MNIST, "gray", side), scratch / str(side))
        for side in (28, 32)
    }
    example = Example(files[28])
    found: list[Trained] = []
    for seed in SEEDS:  # by turns: whatever else the machine does, it does to both
        found.append(_trained("lenet5", files[32], scratch, seed))
        example.train_to(WANTED, epochs=1)
    example.train_to(WANTED, MOST)
    yield from _told("lenet5", found, 99)
    told = {"accuracies": example.accuracies, "processor, s": example.cpu}
    yield Row("the plain example to 99 %, s", example.seconds, detail=told)
    ratio = statistics.median(one.seconds for one in found) / example.seconds
    yield Row("lenet5 to the plain example", ratio, 0.15)
    ratio = statistics.median(one.cpu for one in found) / example.cpu
    yield Row("the same in the processor's time", ratio)
    yield from _told("mlp", [_trained("mlp", files[28], scratch, seed) for seed in SEEDS], 98.2)


def _trained(name: str, files: dict[str, str], scratch: Path, seed: int) -> Trained:
    return train(name, recipe_of(name), files, scratch / f"{name}-{seed}", CPU, seed)


def _told(name: str, found: list[Trained], least: float) -> Iterator[Row]:
    right = [one.accuracy for one in found]
    seconds = [round(one.seconds, 2) for one in found]
    detail = {
        "seconds": seconds,
        "processor, s": [round(one.cpu, 2) for one in found],
        "accuracies": right,
        "recipe": recipe_of(name).flat(),
    }
    title = f"{name}, mean test accuracy of five seeds, %"
    yield Row(title, 100 * statistics.mean(right), least, True, detail)
    yield Row(f"{name}, the training program, s", statistics.median(seconds))


class Network(nn.Module):
    """The example's: two 3 x 3 convolutions, a pooling, two matrices, dropout after each half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(64 * 12 * 12, 128), nn.Linear(128, 10)
        self.drop1, self.drop2 = nn.Dropout(0.25), nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.conv2(F.relu(self.conv1(images))))
        features = self.drop1(F.max_pool2d(maps, 2)).flatten(1)
        return F.log_softmax(self.fc2(self.drop2(F.relu(self.fc1(features)))), dim=1)


class Example:
    """The plain loop, on the images of the official splits at their 28 x 28 pixels."""

    def __init__(self, files: dict[str, str]) -> None:
        parts = [read_split(files, split) for split in SPLITS]
        images, labels = zip(*parts, strict=True)
        normal = [(part.permute(0, 3, 1, 2) / 255 - 0.1307) / 0.3081 for part in images]
        self.images, self.labels = torch.cat(normal[:2]), torch.cat(labels[:2])
        self.test_images, self.test_labels = normal[2], labels[2]

        torch.manual_seed(1)
        self.network = Network()
        self.optimizer = torch.optim.Adadelta(self.network.parameters(), lr=1.0)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=1, gamma=0.7)
        self.accuracies: list[float] = []
        """Of the test images, after each epoch."""
        self.seconds = self.cpu = 0.0
        """Of all epochs; `cpu` are the processor's, all cores together."""

    def train_to(self, wanted: float, epochs: int) -> None:
        """Train so many epochs more, or until one has ended with `wanted`."""
        for _ in range(epochs):
            if self.accuracies and self.accuracies[-1] >= wanted:
                return
            began, before = time.monotonic(), time.process_time()
            self._epoch()
            self.seconds += time.monotonic() - began
            self.cpu += time.process_time() - before

    def _epoch(self) -> None:
        self.network.train()
        for chosen in torch.split(torch.randperm(len(self.labels)), 64):
            self.optimizer.zero_grad()
            loss = F.nll_loss(self.network(self.images[chosen]), self.labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.schedule.step()
        self.network.eval()
        with torch.no_grad():
            parts = torch.split(self.test_images, 1000)
            answers = [self.network(part).argmax(1) for part in parts]
        self.accuracies.append(float((torch.cat(answers) == self.test_labels).float().mean()))


if __name__ == "__main__":
    if "OMP_PROC_BIND" not in os.environ:  # both sides: without it a step can take 10 times as long
        command = [sys.executable, "-m", "benchmarks.mnist", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **cores.told(cores.available())})
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
