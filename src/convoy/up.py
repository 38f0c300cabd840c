"""`convoy up`: the pages, the schedules and the triggers of a project, until Ctrl-C."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from convoy import services, views
from convoy.addresses import mlflow_interface, prefect_interface, runs_address
from convoy.deployments import read_deployments
from convoy.environment import running
from convoy.errors import ConvoyError
from convoy.files import write_json
from convoy.owners import this_owner
from convoy.plan import Plan
from convoy.project import Project
from convoy.supervisor import Supervisor
from convoy.triggers import calls


def start(plan: Plan) -> None:
    """Start what is not elsewhere, say where it is once all of it answers, and keep it running.

    Raises `ConvoyError` for a process that keeps dying, and `UsageError` for deployments or
    triggers that are not what they should be, before anything is started.
    """
    project = plan.project
    began = time.monotonic()
    project.create_state()
    with _alone(project):
        triggers = plan.settings.triggers
        read_deployments(project).check_triggers(triggers)
        called = any(trigger.kind == "call" for trigger in triggers.values())
        if called:
            calls.secret()
        ports = services.choose_ports(called)
        for note in ports.notes:
            _tell(note)
        prefect = os.environ.get("PREFECT_API_URL") or f"{prefect_interface()}/api"
        supervisor = Supervisor(project.root, project.state / "logs", _tell)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.stop())
        try:
            with _said(project, prefect, ports):
                created = services.has_database(project)
                _start(supervisor, plan, prefect, ports, created)
                address = _mlflow(plan)
                if not created:  # it has been by now, by one process alone
                    _start_mlflow(supervisor, project, ports)
                supervisor.keep(lambda: _greet(plan, prefect, address, time.monotonic() - began))
        finally:
            supervisor.end()


def _start(
    supervisor: Supervisor, plan: Plan, prefect: str, ports: services.Ports, created: bool
) -> None:
    if ports.prefect:
        supervisor.start(services.prefect_server(ports.prefect))
    if created:
        _start_mlflow(supervisor, plan.project, ports)
    supervisor.start(services.runner(plan.project, prefect))
    if plan.settings.triggers:
        supervisor.start(services.watcher(plan.project, prefect))


def _start_mlflow(supervisor: Supervisor, project: Project, ports: services.Ports) -> None:
    if ports.mlflow:
        supervisor.start(services.mlflow_server(project, ports.mlflow), outlives=True)


def _mlflow(plan: Plan) -> str:
    """Create MLflow's database where there is none; return the address of the runs' page."""
    from convoy import store  # and MLflow, while the servers start

    client = store.connect(plan.project)
    experiment = store.experiment(client, plan.project, plan.dataset)
    for one in client.search_experiments():
        views.offer(client, str(one.experiment_id))
    return runs_address(mlflow_interface(), experiment, views.ID)


def _greet(plan: Plan, prefect: str, mlflow: str, seconds: float) -> None:
    deployments = read_deployments(plan.project).deployments
    due = ", ".join(f"{one.full_name} ({one.schedule})" for one in deployments if one.schedules)
    lines = [
        f"Prefect UI   {prefect.removesuffix('/api')}",
        f"MLflow UI    {mlflow}",
        f"Scheduled    {due or 'nothing'}",
        *_watched(plan),
        "Now          convoy trigger pipeline/nightly",
        f"Logs         {plan.project.state / 'logs'}",
        f"Ready after {seconds:.1f} s; Ctrl-C ends it all.",
    ]
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


def _watched(plan: Plan) -> list[str]:
    triggers = plan.settings.triggers
    lines = [f"Watched      {', '.join(triggers)}"] if triggers else []
    if any(trigger.kind == "call" for trigger in triggers.values()):
        where = f"{os.environ[calls.HOST]}:{os.environ[calls.PORT]}"
        lines.append(f"Calls        http://{where}/triggers/NAME")
    return lines


def _tell(sentence: str) -> None:
    sys.stderr.write(f"convoy: {sentence}\n")
    sys.stderr.flush()


@contextmanager
def _said(project: Project, prefect: str, ports: services.Ports) -> Iterator[None]:
    """Let other commands of this project know the addresses."""
    found = {
        "owner": this_owner(),
        "prefect": prefect,
        services.PREFECT_PORT: ports.prefect,
        services.MLFLOW_PORT: ports.mlflow,
        services.TRIGGER_PORT: ports.calls,
    }
    write_json(project.state / "up.json", found)
    try:
        yield
    finally:
        (project.state / "up.json").unlink(missing_ok=True)


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    lock = FileLock(project.state / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        where = (running(project) or {}).get("prefect", "")
        raise ConvoyError(
            f"`convoy up` runs here already: {str(where).removesuffix('/api') or 'it is starting'}."
        ) from None
    try:
        yield
    finally:
        lock.release()
