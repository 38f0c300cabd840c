"""Looking again and again, and starting one run for each change."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from convoy.errors import ConvoyError
from convoy.orchestration import Trigger
from convoy.prefect_api import PrefectApi
from convoy.triggers import events, files, ledger, revisions
from convoy.triggers.calls import Calls
from convoy.triggers.ledger import Seen

Look = Callable[[], str | None]
TAG = "triggered"


@dataclass
class Watched:
    """A trigger on its way from a change to a run."""

    name: str
    trigger: Trigger
    full_name: str
    """The deployment's."""
    look: Look
    pending: str | None = None
    since: float = 0.0
    due: float = 0.0
    said: str = ""
    """The last thing that was wrong, so that it is said once."""


def look_of(root: Path, trigger: Trigger, name: str, calls: Calls, server: PrefectApi) -> Look:
    """Return how a trigger looks at what it watches."""
    match trigger.kind:
        case "files":
            return lambda: files.look(root, trigger.address or "")
        case "git":
            return lambda: revisions.commit(root, trigger.branch or "", trigger.address)
        case "dvc":
            told = trigger.branch or "", trigger.address, trigger.dataset or ""
            return lambda: revisions.version(root, *told)
        case "call":
            return lambda: calls.look(name)
        case "event":
            return lambda: events.look(server, trigger.event or "")


class Watch:
    """All triggers of a project."""

    def __init__(self, folder: Path, watched: list[Watched], server: PrefectApi) -> None:
        self.folder, self.watched, self.server = folder, watched, server

    def begin(self) -> None:
        """Take what is there for known, where a trigger is new: that is no change."""
        for one in self.watched:
            self._try(one, partial(self._known, one))

    def step(self, now: float) -> None:
        """Look at what is due; `now` in seconds, of a clock that never goes back."""
        for one in self.watched:
            if now >= one.due:
                one.due = now + one.trigger.every
                self._try(one, partial(self._look, one, now))

    def _known(self, one: Watched) -> Seen:
        seen = ledger.read(self.folder, one.name, one.trigger)
        if seen is None:
            # A call that was accepted is one to answer, however early it came.
            first = "" if one.trigger.kind == "call" else one.look() or ""
            seen = Seen(ledger.about(one.trigger), first, 0)
            ledger.write(self.folder, one.name, seen)
        return seen

    def _look(self, one: Watched, now: float) -> None:
        seen = self._known(one)
        found = one.look()
        if found is None or found == seen.fingerprint:
            one.pending = None
            return
        if found != one.pending:
            one.pending, one.since = found, now
        if now - one.since >= one.trigger.quiet:
            self._start(one, seen, found)
            one.pending = None

    def _start(self, one: Watched, seen: Seen, found: str) -> None:
        """Start the run, then keep that it was: after a crash in between the key finds it again."""
        deployment = self.server.deployment(one.full_name)
        key = ledger.key(one.name, seen, found)
        tags = [TAG, one.name]
        run = self.server.create_run(deployment["id"], one.trigger.parameters, key, tags)
        after = Seen(seen.about, found, seen.number + 1)
        ledger.write(self.folder, one.name, after)
        _tell(f"{one.name}: a change; {one.full_name} runs as {run['name']}.")

    def _try(self, one: Watched, work: Callable[[], object]) -> None:
        try:
            work()
        except ConvoyError as error:
            if str(error) != one.said:
                _tell(f"{one.name}: {error} It is tried again.")
            one.said = str(error)
        else:
            one.said = ""


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {sentence}\n")
    sys.stderr.flush()
