"""What is going on, as log records that carry an event.

Whoever runs the pipeline decides where they go: a live display, plain lines, or Prefect's logs.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True)
class Images:
    """How many images have been brought, or decoded."""

    step: str
    done: int

    def __str__(self) -> str:
        return f"{self.step}: {self.done:,} images"


Event = Planned | Step | Epoch | Download | Images
_KINDS = {kind.__name__: kind for kind in (Planned, Step, Epoch, Download, Images)}
_MARK = "convoy-progress "
TOLD = 512
"""Images between two words about how far it is."""
VARIABLE = "CONVOY_PROGRESS"
"""Set to `lines` for a program that is to write what it reports where `heard` can read it."""


def report(event: Event, level: int = logging.INFO) -> None:
    """Tell whoever listens. What a live display alone wants to know is of level `DEBUG`."""
    logger.log(level, "%s", event, extra={"event": event})


def images(done: int) -> None:
    """Tell whoever looks on, now and then, how many images ingestion has seen."""
    if done % TOLD == 0:
        report(Images("ingest", done), logging.DEBUG)


class Meter:
    """Reports how far a download has come."""

    def __init__(self, begun: Download) -> None:
        self._begun = begun
        self._tenth, self._told = self._tenths(begun.done_bytes), time.monotonic()
        report(begun, logging.DEBUG)

    def saw(self, done: int) -> None:
        """Tell each tenth for the logs, and what lies between for whoever looks on."""
        now, tenth = time.monotonic(), self._tenths(done)
        if tenth != self._tenth or now - self._told > 0.25:
            level = logging.DEBUG if tenth == self._tenth else logging.INFO
            report(replace(self._begun, done_bytes=done), level)
            self._told, self._tenth = now, tenth

    def _tenths(self, done: int) -> int:
        return 10 * done // (self._begun.total_bytes or 10**9)


def write_lines_if_asked() -> None:
    """Write what this program reports to its standard output, for the one that started it."""
    if os.environ.get(VARIABLE) == "lines":
        logger.addHandler(_Written())
        logger.setLevel(logging.DEBUG)


def heard(line: str) -> bool:
    """Report what another program wrote in a line. Return whether it was such a line."""
    if not line.startswith(_MARK):
        return False
    report(*parsed(line.removeprefix(_MARK)))
    return True


def written(record: logging.LogRecord) -> str:
    """Return what a record reports as JSON, for a process elsewhere."""
    event: Event = vars(record)["event"]
    return json.dumps([type(event).__name__, record.levelno, asdict(event)])


def parsed(text: str) -> tuple[Event, int]:
    """Return the event and the level that another process has `written`."""
    kind, level, values = json.loads(text)
    return _KINDS[kind](**values), level


class _Written(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        told = written(record)
        # On a line of its own, whatever was written before.
        sys.stdout.write(f"\n{_MARK}{told}\n")
        sys.stdout.flush()
