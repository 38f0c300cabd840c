"""The devices of this machine that a training takes, each for itself alone.

A device is named by host and number: as a limit of Prefect's, where runs queue for it in sight of
everybody, and as a file that the operating system locks. The file is what keeps two trainings
apart: it needs no server, is free at once when its holder is gone, and knows every checkout and
every user of the machine.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from convoy.environment import devices
from convoy.errors import ConvoyError
from convoy.progress import Step, report

Slot = Callable[[str], AbstractContextManager[None]]
"""What holds this machine's device while a step of a name trains."""

POLL = 0.2
"""Seconds between two looks at a device that is taken."""


def names(environ: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the devices that a training takes here, as "host:gpu-0"; none where it shares all.

    The GPUs that it sees, or what CONVOY_SLOTS names: a word for each device, nothing for none. A
    container, whose host name is its own, is told "host:gpu-0" of the machine around it.
    """
    told = environ.get("CONVOY_SLOTS")
    if told is not None:
        found = [word.strip() for word in told.split(",") if word.strip()]
    else:
        visible = environ.get("CUDA_VISIBLE_DEVICES")
        numbers = _numbers(dev) if visible is None else visible.split(",")
        seen = [number.strip() for number in numbers if number.strip() not in ("", "-1")]
        found = [f"gpu-{number}" for number in seen[: devices(environ)]]
    host = socket.gethostname()
    return tuple(sorted({name if ":" in name else f"{host}:{name}" for name in found}))


def unshared(step: str) -> AbstractContextManager[None]:
    """Hold nothing: of a machine whose trainings share what there is."""
    return nullcontext()


@contextmanager
def locked(step: str, devices: tuple[str, ...]) -> Iterator[None]:
    """Hold the files of devices until the end of the block; wait for whoever has them."""
    folder = Path(os.environ.get("CONVOY_SLOTS_DIR", Path(tempfile.gettempdir(), "convoy-slots")))
    with ExitStack() as held:
        for name in devices:  # in one order everywhere, so that nobody waits in a circle
            held.enter_context(_lock(folder, step, name))
        yield


@contextmanager
def _lock(folder: Path, step: str, name: str) -> Iterator[None]:
    try:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o1777)  # every user's, like the folder for temporary files
        lock = FileLock(folder / f"{name.replace('/', '_')}.lock", mode=0o666)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(Step(step, "running", f"waits for {name}"))
            lock.acquire(poll_interval=POLL)
    except OSError as error:
        raise ConvoyError(
            f"cannot lock the device {name} in {folder} ({error.strerror}): give this user the "
            f"right to write there, or name another folder in CONVOY_SLOTS_DIR."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _numbers(dev: Path) -> list[str]:
    found = [entry.name.removeprefix("nvidia") for entry in dev.glob("nvidia[0-9]*")]
    return sorted((number for number in found if number.isdecimal()), key=int)
