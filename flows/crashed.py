"""Flow runs whose process was killed: Prefect alone would show them as running for ever."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import TagsContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from convoy.owners import is_alive, this_owner

OWNER = "process:"
"""How the tag begins that says in which process a flow run is, as `convoy.owners` has it."""


def owned() -> AbstractContextManager[Any]:
    """Have the flow runs that begin inside say in which process they are."""
    return tags(f"{OWNER}{this_owner()}")


def untagged() -> AbstractContextManager[Any]:
    """Have the tasks that begin inside carry no tags of their flow run's.

    Before each task, Prefect asks its server for a place under every tag: that took two seconds of
    its SQLite server, and there is no limit of ours under this one.
    """
    return TagsContext(current_tags=set())


def settle(flow_runs: Iterable[str]) -> None:
    """End as crashed those of these flow runs that Prefect takes for running.

    And those of processes of this machine that are gone, which never came to a run in MLflow.
    """
    with get_client(sync_client=True) as client:
        found = _left(client)
        for flow_run in flow_runs:
            try:
                found.append(client.read_flow_run(UUID(flow_run)))
            except ObjectNotFound:  # another server's
                continue
        for run in {run.id: run for run in found}.values():
            if run.state is not None and (run.state.is_running() or run.state.is_pending()):
                crashed: State[Any] = Crashed(
                    message="its process was gone when the next run began."
                )
                client.set_flow_run_state(run.id, crashed, force=True)


def _left(client: SyncPrefectClient) -> list[FlowRun]:
    at_work = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    wanted = FlowRunFilter(state=FlowRunFilterState(type=at_work))
    return [run for run in client.read_flow_runs(flow_run_filter=wanted) if _is_left(run)]


def _is_left(run: FlowRun) -> bool:
    owners = [tag.removeprefix(OWNER) for tag in run.tags if tag.startswith(OWNER)]
    return any(owner.count(":") >= 2 and not is_alive(owner) for owner in owners)
