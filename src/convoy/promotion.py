"""The journal of what served.

MLflow keeps one version behind an alias and forgets the one before; the journal is kept in the
registered model's own tags: an intent, the alias move, done. A kill between any two leaves the old
champion in place or the new one, and the next command settles which.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from getpass import getuser
from typing import Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from convoy.errors import UsageError
from convoy.registry import CHALLENGER, CHAMPION, by_alias, version

PREFIX = "convoy.journal."


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    sequence: int
    action: Literal["promote", "rollback"]
    version: str
    previous: str | None
    reason: str
    by: str
    at: str
    """UTC, ISO 8601."""
    state: Literal["intent", "done", "cancelled"]


def journal(client: MlflowClient, name: str) -> list[Entry]:
    """Return the journal, oldest first. Raises `UsageError` for an unknown model."""
    try:
        tags = client.get_registered_model(name).tags
    except MlflowException:
        raise UsageError(f"unknown registered model {name!r}: see `convoy models`.") from None
    entries = [Entry(**json.loads(v)) for k, v in tags.items() if k.startswith(PREFIX)]
    return sorted(entries, key=lambda entry: entry.sequence)


def settle(client: MlflowClient, name: str) -> None:
    """Finish what a crash cut off: an intent whose alias moved is done, any other is cancelled."""
    champion = by_alias(client, name, CHAMPION)
    for entry in journal(client, name):
        if entry.state == "intent":
            moved = champion is not None and champion.version == entry.version
            if moved:
                _end_challenger(client, name, entry.version)
            _write(client, name, replace(entry, state="done" if moved else "cancelled"))


def promote(client: MlflowClient, name: str, wanted: str, reason: str) -> Entry:
    """Make a version the champion. Raises `UsageError` where it is that already."""
    settle(client, name)
    chosen = version(client, name, wanted)
    champion = by_alias(client, name, CHAMPION)
    if champion and champion.version == chosen.version:
        raise UsageError(f"{name} version {chosen.version} is the champion already.")
    previous = champion.version if champion else None
    return _move(client, name, "promote", chosen.version, previous, reason)


def rollback(client: MlflowClient, name: str) -> Entry:
    """Make the version champion that the present one replaced, as the journal has it."""
    settle(client, name)
    champion = by_alias(client, name, CHAMPION)
    # A champion that came back by a rollback replaced nobody anew: what counts is its promotion.
    promotions = [
        entry
        for entry in journal(client, name)
        if entry.state == "done"
        and entry.action == "promote"
        and champion is not None
        and entry.version == champion.version
    ]
    if not promotions or promotions[-1].previous is None or champion is None:
        raise UsageError(
            f"{name} has no earlier champion to go back to: see `convoy history {name}`."
        )
    previous = promotions[-1].previous
    reason = f"rolled back from version {champion.version}"
    return _move(client, name, "rollback", previous, champion.version, reason)


def rolled_back(client: MlflowClient, name: str, number: str) -> Entry | None:
    """Return the last rollback from a version, unless a person has promoted it again since."""
    entries = [entry for entry in journal(client, name) if entry.state == "done"]
    about = [
        entry
        for entry in entries
        if (entry.action == "rollback" and entry.previous == number)
        or (entry.action == "promote" and entry.version == number)
    ]
    return about[-1] if about and about[-1].action == "rollback" else None


def keep_challenger(client: MlflowClient, name: str, number: str) -> None:
    """Keep a refused version in sight."""
    client.set_registered_model_alias(name, CHALLENGER, number)


def _move(
    client: MlflowClient,
    name: str,
    action: Literal["promote", "rollback"],
    number: str,
    previous: str | None,
    reason: str,
) -> Entry:
    entries = journal(client, name)
    entry = Entry(
        sequence=entries[-1].sequence + 1 if entries else 1,
        action=action,
        version=number,
        previous=previous,
        reason=reason,
        by=getuser(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        state="intent",
    )
    _write(client, name, entry)
    client.set_registered_model_alias(name, CHAMPION, number)
    _end_challenger(client, name, number)
    done = replace(entry, state="done")
    _write(client, name, done)
    return done


def _end_challenger(client: MlflowClient, name: str, number: str) -> None:
    """A champion is nobody's challenger."""
    challenger = by_alias(client, name, CHALLENGER)
    if challenger and challenger.version == number:
        client.delete_registered_model_alias(name, CHALLENGER)


def _write(client: MlflowClient, name: str, entry: Entry) -> None:
    tag = f"{PREFIX}{entry.sequence:06d}"
    client.set_registered_model_tag(name, tag, json.dumps(asdict(entry)))
