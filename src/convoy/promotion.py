"""Promotions: the alias moved and the journal written, so that both agree whenever anybody looks.

An intent, the alias move, done. A kill between any two leaves the old champion in place or the new
one, and the next command settles which. An alias that stands elsewhere was moved by hand: that is
noticed and written down too.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from mlflow import MlflowClient

from convoy.claims import claimed
from convoy.client import Forbidden
from convoy.errors import ConvoyError, UsageError
from convoy.journal import Action, Entry, journal, last_done, next_number, now, write
from convoy.owners import person
from convoy.registry import CHALLENGER, CHAMPION, Registered, by_alias, require_files, version

__all__ = [
    "Entry",
    "journal",
    "keep_challenger",
    "promote",
    "replaced_by",
    "rollback",
    "rolled_back",
    "settle",
]

PRESENT = "present"
"""The champion that is there when a promotion begins."""


def settle(client: MlflowClient, name: str) -> None:
    """Bring journal and alias together, where a crash or a person has left them apart.

    An intent whose alias moved is done, any other is cancelled; an alias that was moved by hand is
    written down as noticed. Users who may not write there leave it to those who may.
    """
    if not _agree(client, name):
        with suppress(Forbidden), claimed(client, name):
            _settle(client, name)


def promote(
    client: MlflowClient,
    name: str,
    wanted: str,
    reason: str,
    instead_of: str | None = PRESENT,
) -> Entry:
    """Make a version the champion instead of the one that this was decided against.

    By default that is the one that serves when this begins. Raises `UsageError` where the version
    is champion already, `ConvoyError` where another has become it meanwhile.
    """
    settle(client, name)
    chosen = version(client, name, wanted)
    champion = _champion(client, name)
    if champion == chosen.version:
        raise UsageError(f"{name} version {chosen.version} is the champion already.")
    seen = champion if instead_of == PRESENT else instead_of
    return _move(client, name, "promote", chosen.version, seen, reason)


def rollback(
    client: MlflowClient,
    name: str,
    reason: str = "",
    check: Callable[[Registered], None] = lambda chosen: None,
) -> Entry:
    """Make the version champion that the present one replaced, as the journal has it.

    `check` may refuse that version, before anything has changed.
    """
    settle(client, name)
    champion = _champion(client, name)
    previous = replaced_by(journal(client, name), champion)
    if previous is None:
        raise UsageError(
            f"{name} has no earlier champion to go back to: see `convoy history {name}`."
        )
    check(version(client, name, previous))  # which itself refuses one that was deleted
    left = f"version {champion}" if champion else "no champion"
    why = f"rolled back from {left}" + (f": {reason}" if reason else "")
    return _move(client, name, "rollback", previous, champion, why)


def replaced_by(entries: Sequence[Entry], champion: str | None) -> str | None:
    """Return the version that a rollback from `champion` goes back to, if there is one.

    A champion that came back by a rollback replaced nobody anew: what counts is its promotion.
    """
    promotions = [
        entry
        for entry in entries
        if entry.state == "done" and entry.action != "rollback" and entry.version == champion
    ]
    return promotions[-1].previous if promotions else None


def rolled_back(client: MlflowClient, name: str, number: str) -> Entry | None:
    """Return the last rollback from a version, unless a person has promoted it again since."""
    entries = [entry for entry in journal(client, name) if entry.state == "done"]
    about = [
        entry
        for entry in entries
        if (entry.action == "rollback" and entry.previous == number)
        or (entry.action != "rollback" and entry.version == number)
    ]
    return about[-1] if about and about[-1].action == "rollback" else None


def keep_challenger(client: MlflowClient, name: str, number: str) -> str:
    """Keep a refused version in sight. Return its alias; "" where this user may move none."""
    try:
        client.set_registered_model_alias(name, CHALLENGER, number)
    except Forbidden:
        return ""
    return CHALLENGER


def _move(
    client: MlflowClient, name: str, action: Action, number: str, seen: str | None, reason: str
) -> Entry:
    """Make version `number` champion instead of `seen`, unless another has become it meanwhile."""
    with claimed(client, name) as held:
        _settle(client, name)
        champion = _champion(client, name)
        if champion != seen:
            raise _overtaken(client, name, number)
        require_files(version(client, name, number))  # which a collection may have taken meanwhile
        number_of_entry = next_number(journal(client, name))
        entry = Entry(number_of_entry, action, number, seen, reason, person(), now(), "intent")
        write(client, name, entry)
        client.set_registered_model_alias(name, CHAMPION, number)
        if not held():
            _give_way(client, name, entry)
        _end_challenger(client, name, number)
        done = replace(entry, state="done")
        write(client, name, done)
        return done


def _give_way(client: MlflowClient, name: str, entry: Entry) -> None:
    """Leave the alias to whoever took this promotion for dead, if its entry is not the last."""
    later = last_done(journal(client, name))
    if later and later.sequence > entry.sequence and later.version:
        write(client, name, replace(entry, state="cancelled"))
        client.set_registered_model_alias(name, CHAMPION, later.version)
        raise _overtaken(client, name, entry.version)


def _overtaken(client: MlflowClient, name: str, number: str | None) -> ConvoyError:
    last = last_done(journal(client, name))
    who = f" ({last.action} by {last.by}: {last.reason})" if last else ""
    present = _champion(client, name)
    became = f"version {present} became champion" if present else "the champion was taken away"
    return ConvoyError(
        f"{became} meanwhile{who}: version {number} of {name} was not promoted; run again to "
        f"decide against that one."
    )


def _agree(client: MlflowClient, name: str) -> bool:
    entries = journal(client, name)
    if any(entry.state == "intent" for entry in entries):
        return False
    last = last_done(entries)
    return _champion(client, name) == (last.version if last else None)


def _settle(client: MlflowClient, name: str) -> None:
    champion = _champion(client, name)
    entries = journal(client, name)
    for entry in entries:
        if entry.state == "intent":
            moved = champion is not None and champion == entry.version
            if champion is not None and moved:
                _end_challenger(client, name, champion)
            write(client, name, replace(entry, state="done" if moved else "cancelled"))
    entries = journal(client, name)
    last = last_done(entries)
    expected = last.version if last else None
    if champion != expected:
        write(client, name, _noticed(next_number(entries), champion, last))


def _noticed(number: int, champion: str | None, last: Entry | None) -> Entry:
    expected = last.version if last else None
    what = f"the alias was set to version {champion}" if champion else "the alias was taken away"
    since = f"after {last.at}" if last else "before Convoy first looked"
    return Entry(
        number,
        "noticed",
        champion,
        expected,
        f"found changed, not by Convoy: {what} {since}; by whom and why is not known",
        "unknown",
        now(),
        "done",
        last.at if last else None,
    )


def _champion(client: MlflowClient, name: str) -> str | None:
    found = by_alias(client, name, CHAMPION)
    return found.version if found else None


def _end_challenger(client: MlflowClient, name: str, number: str) -> None:
    """A champion is nobody's challenger."""
    challenger = by_alias(client, name, CHALLENGER)
    if challenger and challenger.version == number:
        client.delete_registered_model_alias(name, CHALLENGER)
