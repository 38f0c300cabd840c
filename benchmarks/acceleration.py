"""What makes a training step faster on this machine: memory format, bfloat16, a compiled network.

    python -m benchmarks.acceleration [RESULT.json] [ARCHITECTURE ...]

Each way is a bare step of the same network on the same batch, by turns in one process, as a share
of the plain one's time: float32, channels last. What Convoy uses by default on a processor, and why
not more, follows from here (`convoy.training.acceleration`).
"""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.rows import Row, keep
from benchmarks.step import CASES, CLASSES, Case
from convoy.architectures import build
from convoy.programs import cores

TURNS = 12
SECONDS = 0.4
"""Of a turn, about."""
WAYS = ("plain", "contiguous", "bfloat16", "compiled", "compiled, bfloat16")


class Way:
    """A network, its optimizer, and how a step of it is taken."""

    def __init__(self, way: str, name: str, case: Case, device: torch.device) -> None:
        torch.manual_seed(1)
        shape = (case.batch, case.channels, case.side, case.side)
        layout = torch.contiguous_format if way == "contiguous" else torch.channels_last
        self.images = torch.randn(shape).to(device).to(memory_format=layout)
        self.labels = torch.randint(0, CLASSES, (case.batch,)).to(device)
        network: Any = build(
            name, num_classes=CLASSES, in_channels=case.channels, image_size=case.side
        )
        network = network.to(device, memory_format=layout)
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.run = torch.compile(network) if "compiled" in way else network
        self.half = "bfloat16" in way
        self.device = device
        self.first = self.seconds(1)
        self.turns: list[float] = []

    def seconds(self, steps: int) -> float:
        """Return the seconds that so many steps take."""
        began = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                loss = F.cross_entropy(self.run(self.images), self.labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - began


def main(result: Path | None, names: tuple[str, ...] = ()) -> int:
    """Measure, print a table, keep it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for name in names or tuple(CASES):
        for row in compared(name, CASES[name], device):
            rows.append(row)
            row.show()
    if result:
        keep(result, " ".join(("python -m benchmarks.acceleration RESULT.json", *names)), rows)
    return 0


def compared(name: str, case: Case, device: torch.device) -> list[Row]:
    """Return the median share of the plain step's time that each other way takes."""
    ways = {way: Way(way, name, case, device) for way in WAYS}
    steps = max(1, round(SECONDS / ways["plain"].seconds(1)))
    for _ in range(TURNS):
        for way in ways.values():
            way.turns.append(way.seconds(steps) / steps)
    plain = ways.pop("plain")
    rows = []
    for title, way in ways.items():
        shares = [one / other for one, other in zip(way.turns, plain.turns, strict=True)]
        detail = {
            "milliseconds": round(1000 * statistics.median(way.turns), 3),
            "plain_milliseconds": round(1000 * statistics.median(plain.turns), 3),
            "first_step_seconds": round(way.first, 2),
        }
        rows.append(Row(f"{name}, {title} to plain", statistics.median(shares), detail=detail))
    return rows


if __name__ == "__main__":
    if "OMP_PROC_BIND" not in os.environ:  # as the launcher of trainings has it
        command = [sys.executable, "-m", "benchmarks.acceleration", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **cores.told(cores.available())})
    arguments = sys.argv[1:]
    place = Path(arguments.pop(0)) if arguments and arguments[0].endswith(".json") else None
    sys.exit(main(place, tuple(arguments)))
