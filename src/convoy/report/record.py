"""What a report and a model card are made of: a pipeline run and its networks, as MLflow has them.

Nothing here needs a network, a dataset or MLflow itself.
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from convoy.evaluation.metrics import Evaluation
from convoy.evaluation.predictions import Predictions
from convoy.outcome import Outcome

if TYPE_CHECKING:
    from convoy.lineage import Chain

FILE = "pipeline.json"
"""What the run of a pipeline keeps of itself, for its report."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Network:
    """One trained network, evaluated on the test split."""

    architecture: str
    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    evaluation: Evaluation | None = None
    predictions: Predictions | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By metric: its values by epoch, or by strength of a corruption."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG images by name."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What cannot be shown, with the reason."""

    def metric(self, *names: str) -> float | None:
        """Return the first of these metrics that the run has."""
        return next((self.metrics[name] for name in names if name in self.metrics), None)

    @property
    def accuracy(self) -> float:
        return self.metrics["test/accuracy"]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy; the accuracy itself where a run has none."""
        low, high = (self.metric(f"test/accuracy_{end}") for end in ("low", "high"))
        return (self.accuracy if low is None else low, self.accuracy if high is None else high)

    @property
    def latency(self) -> float | None:
        """Milliseconds an image."""
        if (found := self.metric("cost/latency_p50_ms")) is not None:
            return found
        micro = self.metric("cost/microseconds_per_image")
        return None if micro is None else micro / 1000


@dataclass(frozen=True)
class Data:
    """The dataset version that everything was measured on."""

    name: str
    version: str
    digest: str
    source: str
    classes: list[str]
    counts: Mapping[str, Mapping[str, int]]
    """Images by split and class."""
    channels: str
    image_size: int
    licence: str | None = None


@dataclass(frozen=True)
class Report:
    """A pipeline run that came to its end."""

    run_id: str
    experiment_id: str
    name: str
    started: str
    """Date and time, UTC."""
    outcome: Outcome
    data: Data
    networks: list[Network]
    commit: str
    dirty: bool
    overrides: list[str]
    registered: str
    """The run whose network was registered."""
    lineage: "Chain | None" = None
    """What is behind the registered version and what came of it."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """What the run as a whole cannot show, with the reason."""

    @property
    def chosen(self) -> Network:
        """The network that was registered."""
        return next(one for one in self.networks if one.run_id == self.registered)

    @property
    def missing(self) -> dict[str, str]:
        """What cannot be shown, with the reason, of a network by `<architecture>: <what>`."""
        of_networks = {
            f"{one.architecture}: {what}": reason
            for one in self.networks
            for what, reason in one.missing.items()
        }
        return {**of_networks, **self.lost}

    @property
    def command(self) -> str:
        """What makes the run again, after a checkout of its commit."""
        names = ",".join(one.architecture for one in self.networks)
        settings = "".join(f" --set {shlex.quote(setting)}" for setting in self.overrides)
        return f"convoy run --dataset {self.data.name} --architectures {names}{settings}"


def contents(outcome: Outcome, data: Data, overrides: list[str], registered: str) -> dict[str, Any]:
    """Return what `FILE` holds."""
    return {
        "outcome": outcome.model_dump(),
        "data": asdict(data),
        "overrides": overrides,
        "registered": registered,
    }
