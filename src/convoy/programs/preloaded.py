"""A parent that has imported the heavy libraries once and forks itself for each program.

It spares each training some seconds of imports. It reads requests (JSON lines) on standard input
and passes the children's events on to standard output, each request's end as {"event": "ended"}.
A request {"stop": true} asks the program that runs to end, and is nothing where none runs. When
standard input closes, because its owner is done or was killed, whatever still runs is ended.

Started by `Launcher`, as `python -m convoy.programs.preloaded MODULE ... -- MODULE ...`: what is
named behind the dashes is imported while the first program runs, for those that come later.
"""

import fcntl
import gc
import json
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, BinaryIO, TextIO, cast

from convoy.programs.entry import print_event, run
from convoy.programs.guarded import die_with_parent

GRACE = 10.0
"""Seconds between asking a program to end and killing it."""


def serve(modules: list[str], later: list[str]) -> None:
    """Import `modules`, then run requests until standard input closes; import `later` meanwhile."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints belongs to the log, not between the events
    _preload(modules)
    print_event({"event": "ready"}, events)
    context = multiprocessing.get_context("fork")
    # Unbuffered: a request that had been read ahead could not be waited for.
    requests = cast(BinaryIO, os.fdopen(os.dup(0), "rb", buffering=0))
    while line := requests.readline():
        request = json.loads(line)
        if "stop" in request:
            continue  # its program ended by itself meanwhile
        child = context.Process(target=_child, args=(request, events, os.getpid()))
        child.start()
        assert child.pid is not None
        # Both sides say so, whoever comes first: the group must be there before it is ended.
        with suppress(OSError):
            os.setpgid(child.pid, child.pid)
        with suppress(Exception):  # whoever needs it will say so
            _preload(later)
        later = []
        if not _follow(child, requests):
            return
        child.join()
        events.write("\n")  # should the child have been killed in the middle of a line
        print_event({"event": "ended", "code": child.exitcode}, events)


def _preload(modules: list[str]) -> None:
    """Import modules, whose objects all stay: no collection of garbage looks through them.

    That would take a sixth of the time of the imports, and a second at the end of each process.
    """
    gc.disable()
    for module in modules:
        import_module(module)
    gc.freeze()
    gc.enable()


def _child(request: dict[str, Any], events: TextIO, parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.setpgid(0, 0)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it was killed before the promise was made
    with open(request["log"], "ab", buffering=0) as log:  # noqa: PTH123 (its descriptor is kept)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        # Held by this program and all that it starts: what a killed owner left in the same folder
        # may take some seconds to end.
        fcntl.flock(log, fcntl.LOCK_EX)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.exit(run(request["module"], request["spec"], lambda event: print_event(event, events)))


def _follow(child: BaseProcess, requests: BinaryIO) -> bool:
    """Wait until a child has ended; have it end where it is asked to. Return False at the end."""
    assert child.pid is not None
    while requests.fileno() in wait([child.sentinel, requests.fileno()]):
        asked = requests.readline()
        _end(child.pid, child.sentinel)
        if not asked:
            return False
    return True


def _end(pid: int, sentinel: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    wait([sentinel], timeout=GRACE)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    # Ctrl-C and SIGTERM, which may go to all processes at once, are the owner's to handle. Blocked,
    # not ignored: a program that is asked to end as soon as it was forked has to hear of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    dashes = sys.argv.index("--")
    serve(sys.argv[1:dashes], sys.argv[dashes + 1 :])
