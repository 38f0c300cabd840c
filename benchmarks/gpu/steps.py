"""Convoy's training step against a bare loop on the same device: time, then memory."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import step
from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.rows import Row
from benchmarks.step import Case, compared, measured, peaks

BOUND, MEMORY = 1.05, 1.02
LONG = 2.0
"""Milliseconds of a bare step from which on its bound counts."""
CASES = {
    "mlp": Case(1, 28, 1024, 200, BOUND, turns=8),
    "lenet5": Case(1, 32, 1024, 200, BOUND, turns=8),
    "resnet20": Case(3, 32, 512, 60, BOUND, turns=8),
    "resnet18": Case(3, 32, 512, 60, BOUND, turns=8),
    "vgg16_bn": Case(3, 32, 512, 60, BOUND, turns=8),
    "resnet50": Case(3, 224, 128, 15, BOUND, turns=8),
}
QUICK = {"mlp": Case(1, 28, 64, 5, BOUND, turns=3)}


def rows(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield the two ratios of each network."""
    cases = QUICK if wanted.quick else CASES if wanted.device.type == "cuda" else step.CASES
    for name in wanted.only(tuple(cases)):
        case = cases[name]
        turns = measured(name, case, scratch / f"{name}-time", wanted.device)
        bound = wanted.bound(BOUND) if is_long(case, turns.bare) else None
        yield compared(name, case, turns.ours, turns.bare, bound, turns.processor)
        held = peaks(name, case, scratch / f"{name}-memory", wanted.device)
        detail = {"convoy, MiB": held[0] / 2**20, "bare, MiB": held[1] / 2**20}
        title = f"{name}, batch {case.batch}, peak memory to bare loop"
        yield Row(title, held[0] / held[1], wanted.bound(MEMORY), detail=detail)


def is_long(case: Case, bare: list[float]) -> bool:
    """Tell whether the bare loop's steps are so long that the bound counts."""
    return sorted(bare[1:])[len(bare[1:]) // 2] / case.steps >= LONG / 1000
