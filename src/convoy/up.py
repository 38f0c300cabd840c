"""`convoy up`: the pages and the schedule, run from the Procfile by honcho until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from convoy import store, views
from convoy.addresses import mlflow_interface, prefect_interface, runs_address
from convoy.errors import ConvoyError
from convoy.files import write_json
from convoy.plan import Plan
from convoy.project import Project


def start(plan: Plan) -> None:
    """Check the ports, print the addresses, and run the Procfile until it is interrupted.

    Raises `ConvoyError` for a port that is in use.
    """
    project = plan.project
    project.create_state()
    with _alone(project):
        for name in ("CONVOY_PREFECT_PORT", "CONVOY_MLFLOW_PORT"):
            _check_port(name)
        # Created before a server and a run both would.
        client = store.connect(project)
        experiment = store.experiment(client, project, plan.dataset)
        for one in client.search_experiments():
            views.offer(client, str(one.experiment_id))
        prefect = f"{prefect_interface()}/api"
        write_json(project.state / "up.json", {"pid": os.getpid(), "prefect": prefect})
        try:
            sys.stdout.write(_greeting(plan, prefect, experiment))
            sys.stdout.flush()
            code = _honcho(project, prefect)
        finally:
            (project.state / "up.json").unlink(missing_ok=True)
    if code not in (0, 130, -signal.SIGINT):
        raise ConvoyError(f"a server ended by itself (exit code {code}); its last lines are above.")


def _greeting(plan: Plan, prefect: str, experiment: str) -> str:
    schedule = plan.settings.schedule
    return (
        f"Prefect UI   {prefect_interface()}\n"
        f"MLflow UI    {runs_address(mlflow_interface(), experiment, views.ID)}\n"
        f"Schedule     {schedule.cron} ({schedule.timezone}), as params.yaml says\n"
        f"Trigger now  PREFECT_API_URL={prefect} prefect deployment run pipeline/nightly\n"
        f"End it all   Ctrl-C\n\n"
    )


def _honcho(project: Project, prefect: str) -> int:
    environ = {
        **os.environ,
        # The Procfile's commands are those of this environment, active or not.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PREFECT_API_URL": prefect,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "convoy",
        "PYTHONUNBUFFERED": "1",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "honcho", "-e", "mlflow/server.env", "-f", "Procfile", "start"],
        cwd=project.root,
        env=environ,
    )
    # Ctrl-C reaches honcho too, which ends its processes; SIGTERM is passed on.
    signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(signal.SIGTERM))
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def _check_port(name: str) -> None:
    port = os.environ[name]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except (OSError, ValueError, OverflowError) as error:
            why = "is in use" if isinstance(error, OSError) else "is no port number"
            raise ConvoyError(
                f"port {port} {why}: end the program that uses it, or choose another with "
                f"{name}=PORT."
            ) from None


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    lock = FileLock(project.state / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConvoyError(f"`convoy up` runs here already: {prefect_interface()}.") from None
    try:
        yield
    finally:
        lock.release()
