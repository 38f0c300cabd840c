"""What is going on, as log records that carry an event.

Whoever runs the pipeline decides where they go: a live display, plain lines, or Prefect's logs.
"""

import logging
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger("convoy.progress")
logger.setLevel(logging.INFO)  # whoever adds a handler, Prefect for one, wants to see these

State = Literal["waiting", "running", "done", "kept", "failed"]


@dataclass(frozen=True)
class Planned:
    """The steps that a run is going to take, by name."""

    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.steps)} steps: {', '.join(self.steps)}"


@dataclass(frozen=True)
class Step:
    """A step that starts or ends; `kept` is one whose result was there already."""

    name: str
    state: State
    detail: str = ""

    def __str__(self) -> str:
        words = {"running": "started", "kept": "unchanged, kept"}.get(self.state, self.state)
        return f"{self.name}: {words}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch of training."""

    step: str
    epoch: int
    epochs: int
    loss: float
    val_accuracy: float
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"{self.step}: epoch {self.epoch}/{self.epochs}, loss {self.loss:.4f}, "
            f"validation accuracy {self.val_accuracy:.2%}, {self.seconds_left:.0f} s left"
        )


@dataclass(frozen=True)
class Download:
    """How far a download has come."""

    step: str
    file: str
    done_bytes: int
    total_bytes: int | None
    """None where the server does not say."""

    def __str__(self) -> str:
        return f"{self.step}: {self.file}, {self.amount}"

    @property
    def amount(self) -> str:
        done, total = self.done_bytes / 1e6, self.total_bytes
        return f"{done:,.1f} MB" if total is None else f"{done:,.1f} of {total / 1e6:,.1f} MB"


Event = Planned | Step | Epoch | Download


def report(event: Event, level: int = logging.INFO) -> None:
    """Tell whoever listens. What a live display alone wants to know is of level `DEBUG`."""
    logger.log(level, "%s", event, extra={"event": event})
