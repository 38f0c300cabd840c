"""MNIST to 99 %: Convoy's training program against the well-known plain PyTorch example.

    python -m benchmarks.mnist [RESULT.json]

The peer is the network and recipe of the example that most people meet first (two convolutions,
Adadelta, batches of 64), written anew with its images in memory: its time is that until an epoch
ends with 99 % of the test images right. Convoy's is that of `python -m convoy.training SPEC.json`
as a whole, imports and checkpoints with it, once a seed.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.datasets import MNIST, dataset_of, prepared
from benchmarks.rows import Row, keep
from benchmarks.trainings import train
from convoy.datamodule import read_split
from convoy.recipe import Recipe
from convoy.splits import SPLITS

SEEDS = (1, 2, 3, 4, 5)
WANTED = 0.99
RECIPES = {
    "lenet5": Recipe.model_validate(
        {
            "optimizer": "sgd",
            "learning_rate": 0.2,
            "momentum": 0.9,
            "weight_decay": 5.0e-4,
            "schedule": "one_cycle",
            "label_smoothing": 0.0,
            "epochs": 8,
            "batch_size": 256,
            "augment": {"shift": 1},
            "options": {"activation": "relu", "pool": "max", "batch_norm": True},
        }
    ),
    "mlp": Recipe.model_validate(
        {
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 5.0e-4,
            "schedule": "one_cycle",
            "label_smoothing": 0.0,
            "epochs": 10,
            "batch_size": 256,
            "augment": {"shift": 1},
        }
    ),
}


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


def _rows(scratch: Path) -> Any:
    files = {
        side: prepared(dataset_of("mnist", MNIST, "gray", side), scratch / str(side))
        for side in (28, 32)
    }
    seconds, right = trained("lenet5", files[32], scratch)
    detail = {"seconds": seconds, "accuracies": right, "recipe": RECIPES["lenet5"].flat()}
    yield Row("lenet5, mean test accuracy of five seeds, %", 100 * statistics.mean(right), 99, True)
    yield Row("lenet5, the training program, s", statistics.median(seconds), detail=detail)
    example, epochs, accuracies = Example(files[28]).seconds_to(WANTED)
    told = {"epochs": epochs, "accuracies": accuracies}
    yield Row("the plain example to 99 %, s", example, detail=told)
    ratio = statistics.median(seconds) / example
    yield Row("lenet5 to the plain example", ratio, 0.15)
    seconds, right = trained("mlp", files[28], scratch)
    detail = {"seconds": seconds, "accuracies": right, "recipe": RECIPES["mlp"].flat()}
    mean = 100 * statistics.mean(right)
    yield Row("mlp, mean test accuracy of five seeds, %", mean, 98.2, True, detail)


def trained(name: str, files: dict[str, str], scratch: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of each seed's training program and the test accuracy of its network."""
    found = [
        train(name, RECIPES[name], files, scratch / f"{name}-{seed}", torch.device("cpu"), seed)
        for seed in SEEDS
    ]
    return [round(one.seconds, 2) for one in found], [one.accuracy for one in found]


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

    def seconds_to(self, wanted: float, most: int = 14) -> tuple[float, int, list[float]]:
        """Return the seconds, the epochs and their accuracies until one reaches `wanted`."""
        torch.manual_seed(1)
        network = Network()
        optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
        accuracies: list[float] = []
        began = time.monotonic()
        for _ in range(most):
            network.train()
            for chosen in torch.split(torch.randperm(len(self.labels)), 64):
                optimizer.zero_grad()
                loss = F.nll_loss(network(self.images[chosen]), self.labels[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            schedule.step()
            network.eval()
            with torch.no_grad():
                parts = torch.split(self.test_images, 1000)
                answers = [network(part).argmax(1) for part in parts]
            accuracies.append(float((torch.cat(answers) == self.test_labels).float().mean()))
            if accuracies[-1] >= wanted:
                break
        return time.monotonic() - began, len(accuracies), accuracies


if __name__ == "__main__":
    if "OMP_PROC_BIND" not in os.environ:  # both sides: without it a step can take 10 times as long
        command = [sys.executable, "-m", "benchmarks.mnist", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "OMP_PROC_BIND": "true"})
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
