"""Run a command and watch it: its time, and the peak memory of its whole process tree."""

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL = 0.5
"""Seconds between two looks at memory."""


@dataclass(frozen=True)
class Measured:
    """What a command took and printed."""

    code: int
    seconds: float
    peak_mib: float
    """Proportional set size: memory that processes share counts once."""
    output: str


def measure(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Measured:
    """Run `command` in `folder` to its end."""
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        peak = [0.0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(child.pid, peak, done))
        watcher.start()
        output, errors = child.communicate()
        seconds = time.monotonic() - began
        done.set()
        watcher.join()
    if child.returncode not in (0, 5):
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{errors[-3000:]}")
    return Measured(child.returncode, seconds, peak[0], output)


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(INTERVAL):
        total = 0
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in tree:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        peak[0] = max(peak[0], total / 2**20)
