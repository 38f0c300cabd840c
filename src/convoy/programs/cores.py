"""Which cores a program's threads run on.

Bound threads do not stall on few cores: without it a step can take 10 times as long. But OpenMP
then binds the thread that loads PyTorch to the first core, and whatever that thread starts begins
there: other processes, which count one core and stay on it, and threads that were to work beside
it. So the cores that there are stand in a variable of the environment.
"""

import os
from collections.abc import Mapping, MutableMapping, Sequence

TOLD = "CONVOY_CORES"
"""The variable with the numbers of the cores, with commas between."""

BOUND = {"OMP_PROC_BIND": "true"}


def available(environ: Mapping[str, str] = os.environ) -> list[int]:
    """Return the numbers of the cores that this program may use."""
    if told := environ.get(TOLD):
        return [int(core) for core in told.split(",")]
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def share(place: int, workers: int, cores: Sequence[int]) -> dict[str, str]:
    """Return the variables that give a worker its share of the cores, at least one.

    Its threads are bound to that share: bound to the machine's first cores, as without naming any,
    all workers would share those.
    """
    count = max(1, len(cores) // workers)
    begin = place * count % len(cores)
    own = [str(core) for core in cores[begin : begin + count]]
    places = ",".join(f"{{{core}}}" for core in own)
    return {
        **BOUND,
        "OMP_NUM_THREADS": str(len(own)),
        "OMP_PLACES": places,
        TOLD: ",".join(own),
    }


def told(cores: Sequence[int]) -> dict[str, str]:
    """Return the variables that bind a program's threads to all of these cores."""
    return {**BOUND, TOLD: ",".join(map(str, cores))}


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have this process run on its cores, of several on its share; before it loads PyTorch.

    What the environment says already stays. `LOCAL_RANK` is what PyTorch's launcher tells each of
    several processes.
    """
    cores, workers = available(environ), int(environ.get("LOCAL_WORLD_SIZE", "1"))
    own = told(cores)
    if workers > 1:
        own = share(int(environ["LOCAL_RANK"]), workers, cores)
        environ[TOLD] = own[TOLD]
    for name, value in own.items():
        environ.setdefault(name, value)
    unbind(environ)


def unbind(environ: Mapping[str, str] = os.environ) -> None:
    """Let this thread run on any of the program's cores, where they are told."""
    if TOLD in environ and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, available(environ))
