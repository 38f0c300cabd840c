"""The environment of the embedded default: where the libraries keep their state.

Only variables that are not set yet are filled in, so that a team's servers win by being named. All
telemetry is off: `DO_NOT_TRACK=1` alone stops neither Prefect nor MLflow, hence one line each.
"""

import os
import urllib.request
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

from convoy.errors import UsageError
from convoy.files import read_json
from convoy.owners import is_alive
from convoy.project import Project

LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def embedded(project: Project) -> dict[str, str]:
    """Return the variables that make one machine enough."""
    state = project.state
    return {
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        # Its first start creates a database; the default of 20 s is less than that can take.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # In memory, as is the default, slots of killed holders stay taken once the server restarts.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
        "PREFECT_RUNNER_POLL_FREQUENCY": "5",
        "MLFLOW_TRACKING_URI": f"sqlite:///{project.database}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # its migrations narrate otherwise
        "MLFLOW_MODEL_CATALOG_URI": "",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # between what `--json` prints
        "CONVOY_PREFECT_PORT": "4200",
        "CONVOY_MLFLOW_PORT": "5000",
        "CONVOY_TRIGGER_HOST": "127.0.0.1",
        "CONVOY_TRIGGER_PORT": "4300",
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(state / "dvc-site"),
        "MPLCONFIGDIR": str(state / "matplotlib"),
    }


def apply(project: Project, environ: MutableMapping[str, str] = os.environ) -> None:
    """Fill in what is not set; call before prefect, mlflow or dvc are imported.

    A `convoy up` that is running here has the last word on its ports.
    """
    for name, value in (running(project) or {}).items():
        if name.startswith("CONVOY_") and value:
            environ[name] = str(value)
    for name, value in embedded(project).items():
        environ.setdefault(name, value)
    if "PREFECT_API_URL" not in environ and (address := served(project)):
        environ["PREFECT_API_URL"] = address


def devices(environ: Mapping[str, str] = os.environ) -> int:
    """Return on how many devices of this machine a training runs together."""
    told = environ.get("CONVOY_DEVICES", "1")
    if not told.isdecimal() or int(told) < 1:
        raise UsageError(f"CONVOY_DEVICES is {told!r}: it is the number of devices of a training.")
    return int(told)


def reader(environ: Mapping[str, str] = os.environ) -> Literal["device", "disk"] | None:
    """Return where trainings read images from; None lets their size and the memory decide."""
    match environ.get("CONVOY_READER", ""):
        case "device" | "disk" as told:
            return told
        case "":
            return None
        case told:
            raise UsageError(f"CONVOY_READER is {told!r}: it is device, disk, or not set.")


def compiled(environ: Mapping[str, str] = os.environ) -> bool | None:
    """Return whether trainings may try a compiled network; None leaves it to the device."""
    match environ.get("CONVOY_COMPILE", ""):
        case "yes" | "no" as told:
            return told == "yes"
        case "":
            return None
        case told:
            raise UsageError(f"CONVOY_COMPILE is {told!r}: it is yes, no, or not set.")


def patience(environ: Mapping[str, str] = os.environ) -> float:
    """Return for how many seconds an MLflow server that gives no answer is asked again."""
    told = environ.get("CONVOY_MLFLOW_PATIENCE", "60")
    try:
        seconds = float(told)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(
            f"CONVOY_MLFLOW_PATIENCE is {told!r}: it is the number of seconds that an MLflow "
            f"server is waited for."
        )
    return seconds


def running(project: Project) -> dict[str, Any] | None:
    """Return what a `convoy up` that is running here says of itself."""
    found = read_json(project.state / "up.json")
    if not isinstance(found, dict) or not is_alive(found.get("owner", "")):
        return None
    return found


def served(project: Project) -> str | None:
    """Return the Prefect API of a `convoy up` that is running here, if it answers."""
    if (found := running(project)) is None:
        return None
    address = str(found["prefect"])
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return address
    except OSError:
        return None
