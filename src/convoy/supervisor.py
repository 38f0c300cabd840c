"""Processes that are kept running: started together, asked whether they answer, started again.

Each has a process group and a log of its own, and ends with its owner, whatever ends that one. One
that dies is started again after a pause that doubles; one that keeps dying ends the whole with its
last words. `docs/adr/0030-a-supervisor-of-our-own.md` says why this is no library's.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from convoy.errors import ConvoyError

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before a process that died is started again; one more death is the last."""
WINDOW = 600.0
"""Seconds after which a death is forgotten."""
STARTUP = 600.0
"""Seconds that a process may take until its first answer: it may create a database."""
HUNG = 180.0
"""Seconds without an answer after which one that has answered counts as dead."""
LOOK = 0.2
CHECK = 5.0
"""Seconds between two looks at processes, and between two questions to one that has answered."""
GRACE = 45.0
"""Seconds that a process has to end: a training writes its checkpoint meanwhile."""
LARGEST = 10 * 2**20
"""Bytes of a log that is then moved to `NAME.log.1`, in the place of the one before."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    """Variables beside those of this process."""
    answers: Callable[[], bool]
    """Whether it does its work; asked again and again, so it has to be quick."""


@dataclass
class _Running:
    service: Service
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    ready: bool = False
    answered: float = 0.0
    asked: float = 0.0
    due: float = 0.0
    deaths: list[float] = field(default_factory=list)


class Supervisor:
    """Keeps services running until it is told to stop."""

    def __init__(self, folder: Path, logs: Path, tell: Tell) -> None:
        """Run in `folder`, write to `logs`; what happens is told in sentences."""
        self.folder, self.logs, self.tell = folder, logs, tell
        self.services: list[_Running] = []
        self._stops = 0

    def start(self, service: Service, outlives: bool = False) -> None:
        """Start a service; one that `outlives` those before it ends after them."""
        self.logs.mkdir(parents=True, exist_ok=True)
        one = _Running(service, self.logs / f"{service.name}.log")
        self.services.insert(0 if outlives else len(self.services), one)
        self._launch(one)

    def stop(self) -> None:
        """Have `keep` return, or, asked a second time, end all at once; for signal handlers."""
        self._stops += 1

    def keep(self, ready: Callable[[], None]) -> None:
        """Watch until `stop`; call `ready` once all answer.

        Raises `ConvoyError` where one keeps dying.
        """
        told = False
        while not self._stops:
            for one in self.services:
                self._look(one)
            if not told and all(one.ready for one in self.services):
                told = True
                ready()
            time.sleep(LOOK)

    def end(self) -> None:
        """End all, one after another; what does not end in time is killed."""
        for one in reversed(self.services):
            family = _family(one.process)
            if family and self._stops < 2:
                with suppress(psutil.NoSuchProcess):
                    family[0].terminate()  # which ends what it has started itself, in order
                self._wait(family)
            for left in family:  # by what they are, not by number: one may have been given away
                with suppress(psutil.NoSuchProcess):
                    left.kill()
            psutil.wait_procs(family, timeout=GRACE)  # killed, and gone a moment later
            if one.process:
                one.process.wait()

    def _wait(self, family: Sequence[psutil.Process]) -> None:
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and self._stops < 2:
            if not psutil.wait_procs(family, timeout=LOOK)[1]:
                return

    def _launch(self, one: _Running) -> None:
        one.ready, one.answered, one.due = False, time.monotonic(), 0.0
        with one.log.open("ab") as stream:
            one.process = subprocess.Popen(
                [sys.executable, "-m", "convoy.programs.guarded", *one.service.command],
                cwd=self.folder,
                env={**os.environ, **one.service.environ},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is this process's to hand on, in order
            )

    def _look(self, one: _Running) -> None:
        now = time.monotonic()
        if one.process is None:
            if now >= one.due:
                self._launch(one)
            return
        if _has_ended(one.process):
            self._died(one)
            return
        if now - one.asked < (CHECK if one.ready else LOOK):
            return
        one.asked = now
        _bound(one.log)
        if one.service.answers():
            one.ready, one.answered = True, time.monotonic()
        elif now - one.answered > (limit := HUNG if one.ready else STARTUP):
            self._died(one, f"gave no answer for {limit:.0f} seconds")

    def _died(self, one: _Running, how: str = "") -> None:
        """Clear away what is left of a process, and say when it is to be started again."""
        assert one.process
        for left in _family(one.process):
            with suppress(psutil.NoSuchProcess):
                left.kill()
        with suppress(ProcessLookupError):  # the number is its group's until somebody waits for it
            os.killpg(one.process.pid, signal.SIGKILL)
        how = how or _ending(one.process.wait())
        one.process.wait()
        one.process = None
        now = time.monotonic()
        one.deaths = [at for at in one.deaths if now - at < WINDOW]
        if len(one.deaths) == len(PAUSES):
            raise ConvoyError(
                f"{one.service.name} {how}, for the {len(PAUSES) + 1}th time within "
                f"{WINDOW / 60:.0f} minutes; it last said: {_last_words(one.log)} See {one.log}."
            )
        pause = PAUSES[len(one.deaths)]
        one.deaths.append(now)
        one.due = now + pause
        self.tell(f"{one.service.name} {how}; it is started again in {pause:.0f} s ({one.log}).")


def _family(process: "subprocess.Popen[bytes] | None") -> list[psutil.Process]:
    """Return a process and all that it started, as long as it lives."""
    if process is None or _has_ended(process):
        return []
    try:
        leader = psutil.Process(process.pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether a process has ended, and leave it to be waited for: its number stays its own."""
    if process.returncode is not None:
        return True
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, how) is not None
    except ChildProcessError:  # somebody has waited for it
        return True


def _ending(code: int) -> str:
    return f"ended by itself (code {code})" if code >= 0 else f"was killed (signal {-code})"


def _last_words(log: Path) -> str:
    """Return the last line of a log, which is often the error's own."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        lines = stream.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1][:300]!r}." if said else "nothing."


def _bound(log: Path) -> None:
    """Begin a log anew where it has grown too large; its writers append to the same file."""
    if log.stat().st_size > LARGEST:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
