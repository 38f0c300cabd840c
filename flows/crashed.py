"""Flow runs whose process was killed: Prefect alone would show them as running for ever."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed


def settle(flow_runs: Iterable[str]) -> None:
    """End those of these flow runs that Prefect takes for running, as crashed."""
    with get_client(sync_client=True) as client:
        for flow_run in flow_runs:
            try:
                state = client.read_flow_run(UUID(flow_run)).state
            except ObjectNotFound:  # another server's
                continue
            if state is not None and state.is_running():
                crashed: State[Any] = Crashed(
                    message="its process was gone when the next run began."
                )
                client.set_flow_run_state(UUID(flow_run), crashed, force=True)
