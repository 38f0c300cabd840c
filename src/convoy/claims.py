"""One promotion of a model at a time: a file lock beside a SQLite database, a fence on a server.

MLflow sets an alias without looking at what it was, so two promotions have to be kept apart before
it. What it does in one step, for one caller alone, is create a registered model of a name. A fence
is such a model, named by the number of the journal's entry that its holder is about to write, so
that no number is written twice; it goes away with its promotion.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from convoy.client import once
from convoy.errors import ConvoyError
from convoy.journal import Entry, journal, next_number, now, write
from convoy.owners import is_alive, is_here, this_owner

MARK = ".promotion-"
OWNER = "convoy.owner"
TOKEN = "convoy.token"
WAIT = 15.0
"""Seconds that another promotion, which takes less than one, is waited for."""
LEASE = 120.0
"""Seconds after which a fence of another machine is taken for one that its holder left."""

Held = Callable[[], bool]
"""Tells whether the claim is still this process's own."""


def is_fence(name: str) -> bool:
    """Tell whether a registered model is a fence of ours, and none that people have made."""
    return MARK in name


@contextmanager
def claimed(client: MlflowClient, name: str) -> Iterator[Held]:
    """Hold a model's alias and journal until the end of the block.

    Raises `ConvoyError` where another promotion does not end.
    """
    place = client.tracking_uri
    claim = _locked(Path(place.removeprefix("sqlite:///")), name)
    with claim if place.startswith("sqlite:///") else _fenced(client, name) as held:
        yield held


@contextmanager
def _locked(database: Path, name: str) -> Iterator[Held]:
    lock = FileLock(database.parent / f"promotion-{name}.lock", mode=0o666)
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise ConvoyError(_busy(name, "another process")) from None
    except OSError as error:
        raise ConvoyError(
            f"cannot write {lock.lock_file} ({error.strerror}): ask its owner for the right to "
            f"write there."
        ) from error
    try:
        yield lambda: True
    finally:
        lock.release()


@contextmanager
def _fenced(client: MlflowClient, name: str) -> Iterator[Held]:
    token, fence = uuid4().hex, ""
    deadline = time.monotonic() + WAIT
    while True:
        number = next_number(journal(client, name))
        fence = f"{name}{MARK}{number:06d}"
        holder = _raise(client, fence, token)
        if holder.tags.get(TOKEN) != token:
            if _is_left(holder):
                _break(client, name, number, holder)
            elif time.monotonic() > deadline:
                raise ConvoyError(_busy(name, holder.tags.get(OWNER, "somebody")))
            else:
                time.sleep(0.2)
        elif next_number(journal(client, name)) == number:
            break
        else:  # that number has been written meanwhile
            _lower(client, fence)
    try:
        _clear(client, name, number)
        yield lambda: _holds(client, fence, token)
    finally:
        # Where the server is away the fence stays, until a command finds that its holder is gone.
        with suppress(ConvoyError):
            if _holds(client, fence, token):
                _lower(client, fence)


def _raise(client: MlflowClient, fence: str, token: str) -> RegisteredModel:
    """Return the fence, this process's or another's, which came first."""
    tags = {TOKEN: token, OWNER: this_owner()}
    text = "Kept while a promotion writes the journal; it goes away by itself."

    def read() -> list[RegisteredModel]:
        found = _find(client, fence)
        return [found] if found else []

    return once(client, read, lambda: client.create_registered_model(fence, tags, text))


def _find(client: MlflowClient, fence: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(fence)
    except MlflowException:
        return None


def _holds(client: MlflowClient, fence: str, token: str) -> bool:
    found = _find(client, fence)
    return found is not None and found.tags.get(TOKEN) == token


def _lower(client: MlflowClient, fence: str) -> None:
    with suppress(MlflowException):  # it is gone: an answer was lost, or another was quicker
        client.delete_registered_model(fence)


def _break(client: MlflowClient, name: str, number: int, fence: RegisteredModel) -> None:
    """Take away a fence that its holder left.

    First its number is used up: whoever else breaks it, late, cannot hit a fence raised after it.
    """
    if next_number(journal(client, name)) <= number:
        by = fence.tags.get(OWNER, "unknown")
        reason = "cut off before it began"
        write(client, name, Entry(number, "promote", None, None, reason, by, now(), "cancelled"))
    _lower(client, fence.name)


def _clear(client: MlflowClient, name: str, number: int) -> None:
    """Take away fences of numbers that have been written, which nobody can hold any more."""
    start = f"{name}{MARK}"
    for found in client.search_registered_models(f"name LIKE '{start}%'"):
        if found.name.startswith(start) and int(found.name.removeprefix(start)) < number:
            _lower(client, found.name)


def _is_left(fence: RegisteredModel) -> bool:
    owner = fence.tags.get(OWNER, "")
    if owner and is_here(owner):
        return not is_alive(owner)
    return bool(time.time() - fence.creation_timestamp / 1000 > LEASE)


def _busy(name: str, holder: str) -> str:
    return (
        f"another promotion of {name} is at work ({holder}) and has not ended within {WAIT:.0f} s: "
        f"nothing was changed; run the same command again."
    )
