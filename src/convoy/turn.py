"""Whose turn it is to work in a project: one run at a time, by a lock that ends with its holder.

An operating-system lock and not one of Prefect's leases, which outlive a killed holder, and even a
restarted server. A second run is refused, or waits, as its caller wants it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convoy.errors import ConvoyError
from convoy.files import read_json, write_json

LOOK = 1.0
"""Seconds between two tries of a run that waits."""


@contextmanager
def take(state: Path, dataset: str = "", flow_run: str = "", waits: bool = False) -> Iterator[None]:
    """Work in the project whose `.convoy/` is `state`; again within the same thread is free.

    Raises `ConvoyError` where another run is at work, unless this one `waits` for its end.
    """
    lock = FileLock(state / "run.lock", is_singleton=True)
    owner = state / "run.owner"
    try:
        lock.acquire(timeout=-1 if waits else 0, poll_interval=LOOK)
    except Timeout:
        pid = (at_work(state) or {}).get("pid", "unknown")
        raise ConvoyError(
            f"another run is at work in this project (process {pid}): wait for it to end."
        ) from None
    outermost = lock.lock_counter == 1
    try:
        if outermost:
            write_json(owner, {"pid": os.getpid(), "dataset": dataset, "flow_run": flow_run})
        yield
    finally:
        if outermost:
            owner.unlink(missing_ok=True)
        lock.release()


def at_work(state: Path) -> dict[str, Any] | None:
    """Return process, dataset and flow run of who is at work in a project, if anybody is."""
    lock = FileLock(state / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = read_json(state / "run.owner")
        return found if isinstance(found, dict) else {}
    lock.release()
    return None


@contextmanager
def only_one_waits(state: Path, name: str) -> Iterator[bool]:
    """Whether this process is the first to wait under a name; so it is until the end."""
    folder = state / "waiting"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{name.replace('/', '-')}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
