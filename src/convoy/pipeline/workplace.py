"""Where a worker's programs run: its share of its machine, and the parents that fork them.

A parent is preloaded for the first order that needs it, and stays for all that follow.
"""

import os
import threading
from dataclasses import dataclass

from convoy import engine
from convoy.programs import cores
from convoy.programs.launcher import PRELOADED, Launcher
from convoy.project import Project


@dataclass(frozen=True)
class Place:
    """Which of the workers of this machine this one is."""

    number: int = 0
    workers: int = 1


class _Parents(threading.local):
    """This thread's preloaded parents, by what they have loaded."""

    def __init__(self) -> None:
        self.by_modules: dict[tuple[str, ...], Launcher] = {}


_of_thread = _Parents()


def launcher_of_thread(project: Project, place: Place, *preload: str) -> Launcher:
    """Return the preloaded parent of this thread's programs, started with the first order for it.

    It ends with this process, as its input closes then, or by `end_programs`. Without a name it has
    loaded what trainings need.
    """
    modules = preload or PRELOADED
    if modules not in _of_thread.by_modules:
        log, threads = project.state / "programs.log", dict[str, str]()
        if place.workers > 1:
            threads = cores.share(place.number, place.workers, cores.available())
            if gpus := engine.gpus():
                # This process's own, as what stands there would win against a launcher's.
                os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place.number % len(gpus)]
        _of_thread.by_modules[modules] = Launcher(
            *modules, log=log, scratch=project.scratch, threads=threads or None
        )
    return _of_thread.by_modules[modules]


def end_programs() -> None:
    """End the preloaded parents of this thread's programs, if there are any."""
    while _of_thread.by_modules:
        with _of_thread.by_modules.popitem()[1]:
            pass
