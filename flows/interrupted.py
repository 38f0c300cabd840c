"""Flow runs that did not come to their end: Prefect alone leaves them as they are for ever.

A run whose process was killed, with its runner, its server or the machine, is marked as crashed and
planned again: the same flow run, which goes on from its last checkpoint and keeps what it has
trained. One that crashes each time is left crashed.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed, Scheduled

from convoy.files import read_json
from convoy.owners import is_alive
from convoy.progress import logger
from convoy.project import Project
from flows.served import AUTOMATIC, SKIPPED, marks

TRIES = 3
"""How often a flow run begins before it is left crashed."""
AGAIN = "Resuming"


def settle(project: Project, deployments: Collection[UUID], beginning: bool) -> list[str]:
    """Plan again what was interrupted; return the names of these runs.

    At the `beginning` nothing of this runner is at work yet, so that whatever the server takes for
    running without a living process is not. Later it is only what was marked as crashed: the runner
    itself ends what is cancelled.
    """
    planned: list[str] = []
    with get_client(sync_client=True) as client:
        for mark in sorted(marks(project).glob("*.json")):
            if not is_alive(str(read_json(mark) or "")):
                planned += _settle_marked(client, mark, beginning)
        if beginning:
            for found in _open(client, deployments):
                if not (marks(project) / f"{found.id}.json").exists():
                    planned += _again(client, found, beginning)
    for name in planned:
        logger.warning("the flow run %s was interrupted; it goes on.", name)
    return planned


def collapse(deployments: Collection[UUID]) -> int:
    """Leave of the runs that are overdue the newest of each deployment; return how many went.

    What was planned for while nothing ran here is one piece of work, however often it was due.
    """
    gone = 0
    with get_client(sync_client=True) as client:
        for deployment in deployments:
            late = _late(client, deployment)
            for found in late[:-1]:
                reason = f"Skipped: a later run of this deployment was due too ({late[-1].name})."
                state: State[Any] = Cancelled(name=SKIPPED, message=reason)
                client.set_flow_run_state(found.id, state, force=True)
                gone += 1
    return gone


def _late(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """Return the runs that a schedule planned for a time that has passed, the oldest first."""
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(
            {
                "state": {"type": {"any_": [StateType.SCHEDULED]}},
                "tags": {"all_": [AUTOMATIC]},
                "expected_start_time": {"before_": _now()},
            }
        ),
        deployment_filter=_of([deployment]),
        limit=200,
    )
    runs = [run for run in found if run.run_count == 0]
    return sorted(runs, key=lambda run: run.expected_start_time or _now())


def _settle_marked(client: SyncPrefectClient, mark: Path, beginning: bool) -> list[str]:
    try:
        found = client.read_flow_run(UUID(mark.stem))
    except (ObjectNotFound, ValueError):  # another server's
        mark.unlink(missing_ok=True)
        return []
    state = found.state.type if found.state else None
    if state == StateType.CRASHED or (beginning and found.state and not found.state.is_final()):
        planned = _again(client, found, beginning)
    elif found.state and found.state.is_final():
        planned = []
    else:
        return []  # the runner is about to say how it ended
    mark.unlink(missing_ok=True)
    return planned


def _again(client: SyncPrefectClient, found: FlowRun, beginning: bool) -> list[str]:
    """Mark a run as crashed and plan it anew, or as cancelled where that was asked for."""
    state = found.state.type if found.state else None
    if state == StateType.CANCELLING:
        ended: State[Any] = Cancelled(message="Its process was gone when it was cancelled.")
        client.set_flow_run_state(found.id, ended, force=True)
        return []
    if state in (StateType.SCHEDULED, StateType.PAUSED):
        return []  # it will run, or waits for a person
    if state != StateType.CRASHED:
        crashed: State[Any] = Crashed(message="Its process was gone.")
        client.set_flow_run_state(found.id, crashed, force=True)
    if found.run_count >= TRIES:
        return []
    message = f"Interrupted; it goes on (attempt {found.run_count + 1} of {TRIES})."
    again: State[Any] = Scheduled(name=AGAIN, message=message)
    client.set_flow_run_state(found.id, again, force=True)
    return [found.name]


def _open(client: SyncPrefectClient, deployments: Collection[UUID]) -> list[FlowRun]:
    """Return the runs that the server takes for begun."""
    begun = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": begun}}}),
        deployment_filter=_of(deployments),
        limit=200,
    )


def _of(deployments: Collection[UUID]) -> DeploymentFilter:
    return DeploymentFilter.model_validate({"id": {"any_": list(deployments)}})


def _now() -> datetime:
    return datetime.now(UTC)
