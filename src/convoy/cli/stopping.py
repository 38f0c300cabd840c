"""Ctrl-C and SIGTERM: the first one ends a run in order, a second Ctrl-C at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

from convoy.errors import Stopped
from convoy.programs.launcher import STOPPED

SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def stoppable() -> Iterator[None]:
    """Let what runs inside end in order, as `Stopped`, when it is interrupted or asked to end.

    The signals keep their meaning afterwards, so that what is still closed then can be cut short.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as in the background of a script
            signal.signal(number, _stop)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(STOPPED) from None


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _stop_at_once)
    raise KeyboardInterrupt


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    """End this process and all that it started; the next run settles what they leave open."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    said = b"convoy: stopped at once; the same command goes on from the last checkpoint.\n"
    # Not through `sys.stderr`, which the interrupted code may be writing to.
    os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + said)  # the display hides the cursor
    os._exit(Stopped.exit_code)
