"""What a user can cause, each kind with its exit code.

A message is one sentence that names the file, the value and the mend. The command line prints it
without a traceback; everything that is not a `ConvoyError` is a fault of ours and keeps its one.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import takewhile

CLOSE = 0.5
"""The share of a name that must agree before another is suggested for it."""


class ConvoyError(Exception):
    """A fault of ours or of a service that we use (exit code 1)."""

    exit_code = 1


class UsageError(ConvoyError):
    """A wrong command line or wrong settings."""

    exit_code = 2


class DataRefused(ConvoyError):
    """Images or labels that training must not see."""

    exit_code = 3


class NotReproducible(ConvoyError):
    """A state that could not be made again: bytes that differ from what was recorded."""

    exit_code = 4


class GateRefused(ConvoyError):
    """A model that was not allowed to serve."""

    exit_code = 5


class ParityFailed(ConvoyError):
    """Two forms of one model that give different answers."""

    exit_code = 6


class RecipeFailed(ConvoyError):
    """A training that its recipe makes impossible, where another recipe may succeed."""


class Stopped(ConvoyError):
    """A run that Ctrl-C or SIGTERM ended; the code is the shell's own for the former."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: its nearest known one, else all."""

    def likeness(other: str) -> tuple[float, int]:
        # Of two that are as like, people mean the one that begins as they began.
        agreeing = takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
        return SequenceMatcher(None, name, other).ratio(), len(list(agreeing))

    ordered = sorted(known)
    best = max(ordered, key=likeness, default="")
    if likeness(best)[0] >= CLOSE:
        return f"did you mean {best!r}?"
    return f"known are {', '.join(ordered)}."
