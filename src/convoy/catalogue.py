"""What each network is, can take and costs, in plain values.

Counting all networks takes seconds, so what was counted is remembered by a digest of the code that
it came from: then torch is not even imported.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from convoy import digests
from convoy.architectures import describe, module_of
from convoy.files import read_json, write_json


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Plain):
    """What a paper made its network for."""

    channels: int
    side: int
    """Pixels."""
    classes: int


class Accuracy(_Plain):
    """In percent of the images."""

    on: str
    source: str
    top1: float | None
    top5: float | None


class Weights(_Plain):
    """How images must come for the published weights: RGB, a value a channel, levels 0 to 255."""

    mean: list[float]
    std: list[float]


class Option(_Plain):
    default: Any
    """None where each form of the network has its own."""
    allowed: str


class Entry(_Plain):
    """One network."""

    name: str
    paper: str
    year: int
    file: str
    """The dotted name of the module that it is written in."""
    smallest: int
    """Pixels a side."""
    task: Task
    """What the following four are counted for."""
    parameters: int
    training_only: int
    """Of the parameters, those that an evaluation does not use."""
    multiply_adds: int
    """For one image."""
    activation_bytes: int
    """For one image in training, in float32."""
    accuracy: Accuracy | None
    weights: Weights | None
    options: dict[str, Option]


def entries(names: Iterable[str], memory: Path | None = None) -> list[Entry]:
    """Return what there is to say of these networks, from the file `memory` where it knows them.

    Raises `UsageError` for an unknown name, with the nearest one.
    """
    modules = {name: module_of(name) for name in names}
    keys = {module: _key(module) for module in set(modules.values())}
    remembered = _read(memory) if memory else {}
    found = {name: _recalled(remembered, name, keys[modules[name]]) for name in modules}
    missing = [name for name, entry in found.items() if entry is None]
    counted = {name: _count(name) for name in missing}
    if memory and counted:
        fresh = {n: {"key": keys[modules[n]], "entry": e.model_dump()} for n, e in counted.items()}
        with suppress(OSError):  # it is only remembered to be quicker
            memory.parent.mkdir(exist_ok=True)
            write_json(memory, {**remembered, **fresh})
    return [entry or counted[name] for name, entry in found.items()]


def _key(module: str) -> str:
    return digests.values(digests.code(__name__, module), digests.libraries())


def _read(memory: Path) -> dict[str, Any]:
    with suppress(OSError):
        if isinstance(found := read_json(memory), dict):
            return found
    return {}


def _recalled(remembered: dict[str, Any], name: str, key: str) -> Entry | None:
    match remembered.get(name):
        case {"key": known, "entry": entry} if known == key:
            with suppress(ValidationError):
                return Entry.model_validate(entry)
    return None


def _count(name: str) -> Entry:
    from convoy.architectures.options import offered
    from convoy.evaluation.cost import cost_on_paper

    of, cost = describe(name), cost_on_paper(name)
    weights = of.weights and Weights(mean=list(of.weights.mean), std=list(of.weights.std))
    return Entry(
        name=name,
        paper=of.paper,
        year=of.year,
        file=module_of(name),
        smallest=of.smallest,
        task=Task(**of.task._asdict()),
        parameters=cost.parameters,
        training_only=cost.training_only,
        multiply_adds=cost.multiply_adds,
        activation_bytes=cost.activation_bytes,
        accuracy=of.accuracy and Accuracy(**of.accuracy._asdict()),
        weights=weights,
        options={
            option: Option(default=_plain(known.default), allowed=known.allowed())
            for option, known in offered(of.network).items()
        },
    )


def _plain(value: Any) -> Any:
    """JSON knows lists, not tuples."""
    return list(value) if isinstance(value, tuple) else value
