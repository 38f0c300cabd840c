"""The journal of what served, in the registered model's own tags: what it holds and how it is read.

MLflow keeps one version behind an alias and forgets the one before. An entry is one tag; it is
written as an intent, then as done or cancelled.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from convoy.errors import UsageError

PREFIX = "convoy.journal."
LONGEST = 4000
"""Characters of a reason: databases hold 5,000 in a tag."""

Action = Literal["promote", "rollback", "noticed"]


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    sequence: int
    action: Action
    """`noticed`: the alias was found where Convoy had not put it, as after a change in MLflow's UI.
    """
    version: str | None
    """None where the alias was found to be gone."""
    previous: str | None
    reason: str
    by: str
    at: str
    """UTC, ISO 8601; of a change that was noticed, when that was."""
    state: Literal["intent", "done", "cancelled"]
    since: str | None = None
    """Of a change that was noticed: after which entry's time it was made; None if never before."""


@dataclass(frozen=True)
class Service:
    """A version that served, from when until when."""

    version: str | None
    """None while no version had the alias."""
    begin: str
    end: str | None
    """None while it still serves."""
    entry: Entry
    """Why."""


def journal(client: MlflowClient, name: str) -> list[Entry]:
    """Return the journal, oldest first. Raises `UsageError` for an unknown model."""
    try:
        tags = client.get_registered_model(name).tags
    except MlflowException:
        raise UsageError(f"unknown registered model {name!r}: see `convoy models`.") from None
    entries = [Entry(**json.loads(v)) for k, v in tags.items() if k.startswith(PREFIX)]
    return sorted(entries, key=lambda entry: entry.sequence)


def write(client: MlflowClient, name: str, entry: Entry) -> None:
    """Write one entry in place of what its number held."""
    values = asdict(entry)
    if len(entry.reason) > LONGEST:
        values["reason"] = entry.reason[: LONGEST - 1] + "…"
    client.set_registered_model_tag(name, f"{PREFIX}{entry.sequence:06d}", json.dumps(values))


def next_number(entries: Sequence[Entry]) -> int:
    return entries[-1].sequence + 1 if entries else 1


def last_done(entries: Sequence[Entry]) -> Entry | None:
    """Return the entry that says what serves now."""
    done = [entry for entry in entries if entry.state == "done"]
    return done[-1] if done else None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def services(entries: Sequence[Entry]) -> list[Service]:
    """Return what served from when until when, oldest first."""
    done = [entry for entry in entries if entry.state == "done"]
    ends = [entry.at for entry in done[1:]]
    return [
        Service(entry.version, entry.at, end, entry)
        for entry, end in zip(done, [*ends, None], strict=True)
    ]


def served_at(entries: Sequence[Entry], date: str) -> list[Service]:
    """Return what served on a day (2026-11-29, in UTC) or at an instant (2026-11-29T14:00+01:00).

    Raises `UsageError` for what is neither, or has not come yet.
    """
    begin, end = _interval(date)
    found = []
    for service in services(entries):
        started = datetime.fromisoformat(service.begin)
        ended = datetime.fromisoformat(service.end) if service.end else None
        if started < end and (ended is None or ended > begin):
            found.append(service)
    return found


def _interval(date: str) -> tuple[datetime, datetime]:
    try:
        begin = datetime.fromisoformat(date)
    except ValueError:
        raise UsageError(
            f"{date!r} is no date: write a day as 2026-11-29, or an instant as 2026-11-29T14:00."
        ) from None
    if begin.tzinfo is None:
        begin = begin.replace(tzinfo=UTC)
    is_day = len(date) <= len("2026-11-29")
    end = begin + (timedelta(days=1) if is_day else timedelta(seconds=1))
    if begin > datetime.now(UTC):
        raise UsageError(f"{date} has not come yet: `convoy history` tells what served until now.")
    return begin, end
