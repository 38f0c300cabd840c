"""Where trainings and batches run: on this machine, or on the workers of a Dask cluster.

`CONVOY_ENGINE` says it, an environment variable, because it decides where and never what.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from convoy.errors import UsageError
from convoy.programs.cores import available

VARIABLE = "CONVOY_ENGINE"
MOST = 1024
"""Workers of one machine; whoever asks for more has mistyped."""
_GPUS = Path("/proc/driver/nvidia/gpus")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Engine:
    """A cluster: one of this machine for as long as a run takes, or one that is there already."""

    workers: int = 0
    """Processes of a cluster of this machine, one training or part each; 0 with an `address`."""
    address: str = ""
    """The scheduler of a cluster that others have started."""


def chosen(environ: Mapping[str, str] = os.environ) -> Engine | None:
    """Return the engine that `CONVOY_ENGINE` names; None where this process does all by itself.

    Raises `UsageError` for a value that names none, where Dask is not installed, and where workers
    on other machines could not reach the servers that a run talks to.
    """
    told = environ.get(VARIABLE, "local")
    if told in ("", "local"):
        return None
    kind, _, count = told.partition(":")
    if told.startswith(("tcp://", "tls://")):
        engine = Engine(address=_address(told, environ))
    elif kind == "dask" and told == "dask":
        engine = Engine(workers=len(gpus(environ)) or len(available(environ)))
    elif kind == "dask" and count.isdecimal() and 0 < int(count) <= MOST:
        engine = Engine(workers=int(count))
    else:
        raise UsageError(
            f"{VARIABLE} is {told!r}: it is local, dask, dask:N with 1 to {MOST} workers on this "
            f"machine, or the address of a Dask scheduler as tls://host:8786 or tcp://host:8786."
        )
    if find_spec("prefect_dask") is None:
        raise UsageError(
            f"{VARIABLE} is {told!r}, but Dask is not installed: `pip install -c constraints.txt "
            f"-e '.[engine]'`."
        )
    return engine


def gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    if (told := environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in told.split(",") if name.strip()]
    count = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    return [str(number) for number in range(count)]


def _address(told: str, environ: Mapping[str, str]) -> str:
    try:
        place = urlsplit(told)
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise UsageError(
            f"{VARIABLE} is {told!r}: a scheduler's address has a host and a port, as "
            f"tls://host:8786."
        )
    tracking = environ.get("MLFLOW_TRACKING_URI", "")
    if not tracking.startswith(("http://", "https://")):
        raise UsageError(
            f"{VARIABLE} is {told!r}, but MLflow's store is a file of this machine: set "
            f"MLFLOW_TRACKING_URI to a server that the workers reach too."
        )
    if host not in _LOOPBACK:
        for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
            there = environ.get(name, "")
            if not there or urlsplit(there).hostname in _LOOPBACK:
                said = f"{name} is {there}, this machine's own" if there else f"{name} is not set"
                raise UsageError(
                    f"{VARIABLE} is {told!r}, but {said}: name a server that the workers reach too."
                )
    return told
