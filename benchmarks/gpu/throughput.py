"""Images a second of training steps, and how near that comes to what the device can compute.

A step is forward pass, loss, backward pass and optimizer, on images that lie on the device: in
bfloat16 on a GPU that has it, in float32 on a processor, channels last. A training image takes
three times the operations of an evaluated one, two for each multiply-add (auxiliary heads are not
counted). The device's peak is that of a large matrix product, in the same precision and run.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.devices import clock
from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.rows import Row
from benchmarks.step import in_half
from convoy.architectures import build, describe, names
from convoy.errors import UsageError
from convoy.evaluation.cost import multiply_adds
from convoy.training.fit import out_of_memory

SMALL, LARGE = 32, 224
CLASSES = {SMALL: 10, LARGE: 1000}
QUICK = ("mlp", "lenet5", "resnet20")
OPERATIONS = 6
"""Of a training image for each multiply-add of an evaluated one."""


class Effort(NamedTuple):
    """How much is measured."""

    batch: dict[int, int]
    """Images, by the size of the form; halved until they fit the memory."""
    warm: int
    """Steps before those that are timed: libraries choose their kernels."""
    seconds: float
    """Of each turn, or about that."""
    turns: int
    side: int
    """Of the matrices whose product tells the peak."""


GPU = Effort({SMALL: 1024, LARGE: 256}, warm=10, seconds=0.5, turns=3, side=8192)
CPU = Effort({SMALL: 64, LARGE: 4}, warm=1, seconds=0.5, turns=3, side=2048)
QUICKLY = Effort({SMALL: 32, LARGE: 2}, warm=1, seconds=0.05, turns=2, side=1024)


def rows(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield the device's peak, then each network's figures, small form and large form."""
    effort = QUICKLY if wanted.quick else GPU if wanted.device.type == "cuda" else CPU
    peak = peak_rate(wanted.device, effort)
    precision = "bfloat16" if in_half(wanted.device) else "float32"
    told = {"matrices": effort.side, "precision": precision}
    yield Row(f"matrix product, {precision}, TFLOP/s", peak / 1e12, detail=told)
    for form in (SMALL, LARGE):
        for name in wanted.only(QUICK if wanted.quick else names()):
            for compiled in (False, True) if wanted.compiled else (False,):
                yield from _of(name, form, compiled, effort, peak, wanted.device)


def _of(
    name: str, form: int, compiled: bool, effort: Effort, peak: float, device: torch.device
) -> Iterator[Row | Skipped]:
    side = side_of(name, form)
    title = f"{name} at {side}{', compiled' if compiled else ''}"
    try:
        operations = OPERATIONS * multiply_adds_of(name, form)
        rate, batch = _fitting(name, form, compiled, effort, device)
    except UsageError as error:  # it cannot take the size
        yield Skipped(title, str(error))
        return
    except RuntimeError as error:
        if out_of_memory(error):
            yield Skipped(title, "not one image fits the memory")
        elif compiled:
            yield Skipped(title, f"cannot be compiled: {str(error).strip().splitlines()[0]}")
        else:
            raise
        return
    detail = {
        "batch": batch,
        "FLOP an image": operations,
        "floor, images a second": peak / operations,
    }
    yield Row(f"{title}, images a second", rate, detail=detail)
    yield Row(f"{title}, of the FLOP floor", rate * operations / peak)


def side_of(name: str, form: int) -> int:
    """Return the pixels a side of a network's small or large form, its paper's where it has one."""
    paper = describe(name).task.side
    return paper if (paper < LARGE) == (form < LARGE) else form


def multiply_adds_of(name: str, form: int) -> int:
    """Count those of an image by the network's shapes alone. `UsageError` for a size too small."""
    with torch.device("meta"):
        network = _network(name, form)
        return multiply_adds(network, torch.empty(1, *_shape(name, form)))


def _network(name: str, form: int) -> nn.Module:
    channels, side, _ = _shape(name, form)
    return build(name, num_classes=CLASSES[form], in_channels=channels, image_size=side)


def _shape(name: str, form: int) -> tuple[int, int, int]:
    side = side_of(name, form)
    return describe(name).task.channels, side, side


def _fitting(
    name: str, form: int, compiled: bool, effort: Effort, device: torch.device
) -> tuple[float, int]:
    """Return images a second, and the largest batch that fits the memory."""
    batch = effort.batch[form]
    while True:
        try:
            # Nothing here holds the step: its network is gone before the next one comes.
            seconds = seconds_of(_step(name, form, batch, compiled, device), effort, device)
            return batch / seconds, batch
        except RuntimeError as error:
            if not out_of_memory(error) or batch == 1:
                raise
        finally:
            if compiled:
                torch.compiler.reset()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        batch //= 2


def _step(
    name: str, form: int, batch: int, compiled: bool, device: torch.device
) -> Callable[[], Any]:
    """Return a function that trains a fresh network by a step on random images."""
    torch.manual_seed(1)
    with device:  # which also draws the first weights, faster than a processor
        network = _network(name, form)
        images = torch.randn(batch, *_shape(name, form)).to(memory_format=torch.channels_last)
        labels = torch.randint(CLASSES[form], (batch,))
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    criterion, loss_of = nn.CrossEntropyLoss(), describe(name).loss
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)
    answer = torch.compile(network) if compiled else network
    half = torch.autocast(device.type, torch.bfloat16, enabled=in_half(device))

    def step() -> None:
        optimizer.zero_grad()
        with half:
            loss = loss_of(answer(images), labels, criterion)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def peak_rate(device: torch.device, effort: Effort) -> float:
    """Return the operations a second of a product of large matrices, the best turn's."""
    kind = torch.bfloat16 if in_half(device) else torch.float32
    one, other = (torch.randn(effort.side, effort.side, device=device).to(kind) for _ in range(2))
    product = torch.empty_like(one)

    def multiply() -> None:
        torch.mm(one, other, out=product)

    return 2 * effort.side**3 / min(_turns(multiply, effort, device))


def seconds_of(step: Callable[[], Any], effort: Effort, device: torch.device) -> float:
    """Return the median seconds of a step."""
    return statistics.median(_turns(step, effort, device))


def _turns(step: Callable[[], Any], effort: Effort, device: torch.device) -> list[float]:
    """Return the mean seconds of a step in each turn; within one the device is never waited for."""
    for _ in range(effort.warm):
        step()
    count, found = 1, list[float]()
    while len(found) < effort.turns:
        began = clock(device)
        for _ in range(count):
            step()
        passed = clock(device) - began
        enough = math.ceil(count * effort.seconds / passed)
        if not found and count < enough:  # so few tell little: again, with as many as are needed
            count = min(enough, 10 * count)
        else:
            found.append(passed / count)
    return found
