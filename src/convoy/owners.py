"""Who is at work: a process by its machine, its id and its start, so that a reused id is not it."""

import os
import socket
from collections.abc import Mapping
from getpass import getuser

import psutil


def this_owner() -> str:
    """Return what names this process for as long as it lives, as "host:pid:start"."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def is_here(owner: str) -> bool:
    """Tell whether an owner is of this machine."""
    return owner.rsplit(":", 2)[0] == socket.gethostname()


def is_alive(owner: str) -> bool:
    """Tell whether an owner still runs; another machine's runs are its own to settle."""
    if owner.count(":") < 2:
        return False
    _, pid, created = owner.rsplit(":", 2)
    if not is_here(owner):
        return True
    try:
        return bool(abs(psutil.Process(int(pid)).create_time() - float(created)) < 1)
    except psutil.NoSuchProcess:
        return False


def person(environ: Mapping[str, str] = os.environ) -> str:
    """Return who decides: the name by which MLflow's server knows them, else that of this machine.

    The former has been proved by a password once anything is written.
    """
    if name := environ.get("MLFLOW_TRACKING_USERNAME"):
        return name
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"
