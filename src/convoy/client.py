"""MLflow's client, with one patience for all calls and with care for those that create something.

MLflow's own client asks again after any lost answer, also where the server had done as it was
told: one lost answer makes two runs or two versions. Here a call that may be repeated is asked
again until the patience is over; what creates something is asked once, `once` reads around it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy.exc import SQLAlchemyError

from convoy import environment
from convoy.addresses import without_credentials
from convoy.errors import ConvoyError

T = TypeVar("T")

CREATING = {
    "create_run",
    "create_experiment",
    "create_registered_model",
    "create_model_version",
    "create_logged_model",
    "log_outputs",
}
LONGEST_PAUSE = 5.0
"""Seconds between two tries at most."""
AWAY = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
"""What MLflow calls an answer that did not come, or came as a 5xx; also files that are missing."""
DOWNLOAD = "failures occurred while downloading"
BROKEN = ("Connection", "RemoteDisconnected", "timed out", "502 Server", "503 Server", "504 Server")
"""Of a download that failed, what says that its server was away."""


class Unanswered(ConvoyError):
    """MLflow gave no answer: it may have done what it was asked for, or not."""


class Forbidden(ConvoyError):
    """MLflow refuses this user what it asks for, or does not know it."""


class Client(MlflowClient):
    """MLflow's client; each call ends within the patience, with an answer or one sentence.

    Raises `Unanswered` where the server is away, `Forbidden` where it refuses this user; what the
    registry says of a request (`MlflowException`) is left to the caller.
    """

    def __init__(self, uri: str, patience: float | None = None) -> None:
        # Read at every request. MLflow asks again by itself otherwise, creations too.
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        super().__init__(uri, uri)
        self.uri = uri
        self.patience = environment.patience() if patience is None else patience


def patiently(call: Callable[[], T], uri: str, patience: float) -> T:
    """Ask until there is an answer. Raises `Unanswered` when `patience` seconds are over."""
    deadline = time.monotonic() + patience
    for pause in pauses():
        try:
            return answered(call, uri)
        except Unanswered:
            if time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
    raise AssertionError("pauses never end")


def once(
    client: MlflowClient,
    read: Callable[[], list[T]],
    create: Callable[[], object],
    drop: Callable[[T], None] = lambda extra: None,
) -> T:
    """Return the first thing that `read` finds, created where there is none.

    `read` gives them in an order on which all agree; whatever comes after the first goes to `drop`:
    of an answer that was lost, a request that arrived twice, or another machine at the same time.
    Where this user may delete nothing it stays: everybody reads the first.
    """
    patience = client.patience if isinstance(client, Client) else 0.0
    deadline = time.monotonic() + patience
    pause = pauses()
    quicker = 0
    while not (found := read()):
        try:
            create()
        except MlflowException as error:
            # Of a name that only one may have: somebody was quicker, and is read next.
            quicker += 1
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or quicker > 3:
                raise
        except Unanswered:
            wait = next(pause)
            if time.monotonic() + wait > deadline:
                raise
            time.sleep(wait)
    with suppress(Forbidden):
        for extra in found[1:]:
            drop(extra)
    return found[0]


def pages(ask: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Yield all that a search finds, page by page: a search alone stops at its first page."""
    token = None
    while True:
        page = ask(token)
        yield from page
        if not (token := page.token):
            return


def pauses() -> Iterator[float]:
    """Yield seconds to wait between tries: twice as long each time, up to a bound."""
    pause = 0.2
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def answered(call: Callable[[], T], uri: str) -> T:
    """Return what `call` returns; a missing answer and a refused user as sentences of ours."""
    try:
        return call()
    except MlflowException as error:
        words = str(error)
        if error.error_code in {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
            raise Forbidden(
                f"MLflow at {without_credentials(uri)} refuses this user ({_first(words)}): set "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ask for the right."
            ) from error
        if error.error_code not in AWAY or _is_missing(words):
            raise
        raise Unanswered(sentence(uri, words)) from error
    except SQLAlchemyError as error:
        raise Unanswered(sentence(uri, str(error))) from error


def _is_missing(words: str) -> bool:
    """Tell whether a download failed by an answer: MLflow gives all that it failed by one code."""
    return DOWNLOAD in words and not any(sign in words for sign in BROKEN)


def sentence(uri: str, words: str) -> str:
    """Say in one sentence what is wrong with a store that gave no answer, and the mend."""
    shown = without_credentials(uri)
    if "not a database" in words or "malformed" in words or "Can't locate revision" in words:
        return (
            f"{shown} is damaged or not an MLflow database: move the file aside and run again, or "
            f"restore it from a backup."
        )
    if any(sign in words for sign in ("readonly", "unable to open database", "Permission denied")):
        return f"{shown} cannot be written by this user: ask its owner for the right to write."
    if "locked" in words:
        return f"{shown} is in use by another program that locks it: end that one and run again."
    if "out-of-date database schema" in words:
        return (
            f"the MLflow store {shown} does not answer: {_first(words)} Run `mlflow db upgrade` on "
            f"it with a backup at hand, or use the MLflow that made it."
        )
    if uri.startswith("http"):
        return (
            f"the MLflow server {shown} does not answer ({_reason(words)}): start it or look at "
            f"its log, then run the same command again; it goes on from here."
        )
    return f"the MLflow store {shown} does not answer: {_first(words)}"


def _first(words: str) -> str:
    return words.splitlines()[0] if words else ""


def _reason(words: str) -> str:
    """Return what matters of an HTTP error, which quotes itself three times."""
    for sign, said in (
        ("timed out", "it took too long"),
        ("timeout", "it took too long"),
        ("Connection refused", "connection refused"),
        ("too many 5", "it answers with errors"),
        ("Connection aborted", "the connection broke off"),
        ("Name or service not known", "no such host"),
    ):
        if sign in words:
            return said
    return _first(words)


def _wrapped(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Client, *arguments: Any, **named: Any) -> Any:
        def ask() -> Any:
            return method(self, *arguments, **named)

        if name in CREATING:
            return answered(ask, self.uri)
        return patiently(ask, self.uri, self.patience if self.uri.startswith("http") else 0.0)

    return call


for _name, _method in list(vars(MlflowClient).items()):
    if callable(_method) and not _name.startswith("_"):
        setattr(Client, _name, _wrapped(_name, _method))
