"""The owner's side of a preloaded parent: start programs, follow their events, believe results."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from convoy import errors
from convoy.errors import ConvoyError
from convoy.programs.entry import Emit

_SIGNALS = {9: "killed, likely because memory ran out", 15: "asked to stop", 11: "crashed"}


class Launcher:
    """One preloaded parent; programs run in it one after another.

    It starts at once and imports in the background, so that whoever needs it soon waits less.
    """

    def __init__(self, *preload: str, log: Path) -> None:
        self.began = time.monotonic()
        self._log = log
        # Bound threads do not stall on few cores: without it a step can take 10 times as long.
        environ = {"OMP_PROC_BIND": "true", **os.environ}
        with log.open("ab") as stream:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "convoy.programs.preloaded", *preload],
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
        assert self._parent.stdin and self._parent.stdout
        with suppress(BrokenPipeError):  # what could not be sent to a parent that was killed
            self._parent.stdin.close()
        self._parent.wait()
        self._parent.stdout.close()

    def run(self, module: str, spec: dict[str, Any], log: Path, emit: Emit) -> dict[str, Any]:
        """Run a program to its end; its events go to `emit`, what it prints to `log`.

        Raises what the program refused, and `ConvoyError` where it died without a result: an exit
        code of 0 alone proves nothing.
        """
        assert self._parent.stdin and self._parent.stdout
        request = {"module": module, "spec": spec, "log": str(log)}
        result: dict[str, Any] | None = None
        try:
            self._parent.stdin.write(json.dumps(request) + "\n")
            self._parent.stdin.flush()
        except BrokenPipeError:
            raise ConvoyError(f"{module} could not start; see {self._log}.") from None
        for line in self._parent.stdout:
            event = json.loads(line)
            match event["event"]:
                case "result":
                    result = event["result"]
                case "refused":
                    raise_later: ConvoyError = getattr(errors, event["kind"])(event["message"])
                    self._finish()
                    raise raise_later
                case "failed":
                    self._finish()
                    raise ConvoyError(f"{module} failed ({event['message']}); see {log}.")
                case "ended":
                    if result is not None:
                        return result
                    raise ConvoyError(f"{module} {_ending(event['code'])}; see {log}.")
                case "ready":
                    continue
                case _:
                    emit(event)
        raise ConvoyError(f"{module} ended with its parent; see {self._log}.")

    def _finish(self) -> None:
        """Read on to the program's end, so that the next one finds a clean stream."""
        assert self._parent.stdout
        for line in self._parent.stdout:
            if json.loads(line)["event"] == "ended":
                return


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code} and without a result"
    return f"was {_SIGNALS.get(-code, 'ended')} (signal {-code})"
