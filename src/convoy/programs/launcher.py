"""The owner's side of a preloaded parent: start programs, follow their events, believe results."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

from convoy import errors
from convoy.errors import ConvoyError, Stopped
from convoy.programs import cores
from convoy.programs.entry import Emit
from convoy.project import Project

PRELOADED = (
    "convoy.training.fit",
    "convoy.evaluation.program",
    "convoy.evaluation.inspection",
    "cleanlab.filter",
)
LATER = ("convoy.registration", "mlflow.store.tracking.sqlalchemy_store")
"""What the last of a pipeline's programs needs, imported while the first one runs."""

STOPPED = "stopped; the same command goes on from here."

_SIGNALS = {9: "killed, likely because memory ran out", 11: "crashed"}


class Launcher:
    """One preloaded parent; programs run in it one after another.

    It starts at once and imports in the background, so that whoever needs it soon waits less.
    """

    def __init__(
        self,
        *preload: str,
        log: Path,
        later: Sequence[str] = (),
        scratch: Path | None = None,
        threads: Mapping[str, str] | None = None,
    ) -> None:
        """`later` is imported while the first program runs.

        `threads` are the variables that say how many threads there are, and on which cores.

        All that there are, where none are given.
        """
        self.began = time.monotonic()
        self._log = log
        environ = {**(threads or cores.told(cores.available())), **os.environ}
        if scratch:
            # The checkpoints' own file system: Lightning writes here first, then moves, and a move
            # between two file systems can be cut off in the middle.
            environ["TMPDIR"] = str(scratch)
        with log.open("ab") as stream:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "convoy.programs.preloaded", *preload, "--", *later],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=environ,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the parent and whatever still runs in it."""
        assert self._parent.stdout
        self.close()
        self._parent.stdout.close()

    def close(self) -> None:
        """End the parent and whatever still runs in it; another thread's `run` raises then."""
        assert self._parent.stdin
        with suppress(BrokenPipeError):  # what could not be sent to a parent that was killed
            self._parent.stdin.close()
        self._parent.wait()

    def stop(self) -> None:
        """Ask the running program to end, as SIGTERM does; `run` goes on until it has.

        For the `emit` of that program. It is killed where it does not end, and keeps its result
        where it has ended meanwhile.
        """
        assert self._parent.stdin
        with suppress(BrokenPipeError):  # it has ended with its parent, as `run` will say
            self._parent.stdin.write('{"stop": true}\n')
            self._parent.stdin.flush()

    def run(self, module: str, spec: dict[str, Any], log: Path, emit: Emit) -> dict[str, Any]:
        """Run a program to its end; its events go to `emit`, what it prints to `log`.

        Raises what the program refused, and `ConvoyError` where it died without a result: an exit
        code of 0 alone proves nothing.
        """
        assert self._parent.stdin
        request = json.dumps({"module": module, "spec": spec, "log": str(log)})
        try:
            self._parent.stdin.write(request + "\n")
            self._parent.stdin.flush()
        except (BrokenPipeError, ValueError):  # the latter where another thread has closed it
            raise ConvoyError(f"{module} could not start; see {self._log}.") from None
        try:
            return self._follow(module, log, emit)
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C: ends while others close their things
                self._parent.stdin.close()
            raise

    def _follow(self, module: str, log: Path, emit: Emit) -> dict[str, Any]:
        assert self._parent.stdout
        result: dict[str, Any] | None = None
        refusal: ConvoyError | None = None
        for event in map(_parse, self._parent.stdout):
            match event.get("event"):
                case "result":
                    result = event["result"]
                case "refused":
                    refusal = getattr(errors, event["kind"])(event["message"])
                case "failed":
                    refusal = ConvoyError(f"{module} failed ({event['message']}); see {log}.")
                case "ended" if refusal:
                    raise refusal
                case "ended" if result is not None:
                    return result
                case "ended" if event["code"] == -signal.SIGTERM:
                    raise Stopped(STOPPED)
                case "ended":
                    raise ConvoyError(f"{module} {_ending(event['code'])}; see {log}.")
                case "ready" | None:
                    continue
                case _:
                    emit(event)
        raise ConvoyError(f"{module} ended with its parent; see {self._log}.")


def _parse(line: str) -> dict[str, Any]:
    """Return an event; an empty one for a line that its program was killed in the middle of."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return event


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code} and without a result"
    return f"was {_SIGNALS.get(-code, 'ended')} (signal {-code})"


warm: ContextVar[Launcher | None] = ContextVar("warm", default=None)
"""A launcher that was started early, so that its imports overlap with other starts."""


def start_launcher(project: Project) -> Launcher:
    """Start the preloaded parent of trainings and evaluations."""
    log = project.state / "programs.log"
    return Launcher(*PRELOADED, later=LATER, log=log, scratch=project.scratch)


def start_worker(project: Project, place: int, workers: int) -> Launcher:
    """Start the preloaded parent of trainings that run beside those of other workers."""
    log, threads = project.state / "programs.log", cores.share(place, workers, cores.available())
    return Launcher(PRELOADED[0], log=log, scratch=project.scratch, threads=threads)
