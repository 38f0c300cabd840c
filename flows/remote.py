"""Flows on other machines: a run given to a work pool, and whether anybody is there to take it.

Prefect by itself lets a run wait for ever in a pool that has no worker.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Scheduled
from prefect.utilities.callables import parameter_schema

from convoy.errors import ConvoyError, UsageError, nearest
from flows.pipeline import pipeline

PATIENCE = 40.0
"""Seconds in which a worker has to show up."""
SILENCE = 50.0
"""Seconds without a sign of a worker, which gives one every 30, that make it a dead one."""
POLL = 1.0

Told = Callable[[str], None]
"""Is told of a run's state whenever it has changed."""


def submit(pool: str, parameters: dict[str, Any], told: Told = lambda words: None) -> FlowRun:
    """Run the pipeline in a work pool; return its flow run once that has ended.

    Raises `UsageError` for a pool that does not exist, and `ConvoyError` where none of its workers
    lives: nothing is left to start by itself later.
    """
    with get_client(sync_client=True) as client:
        try:
            found = _pool(client, pool)
            _require_worker(client, found)
            run = _create(client, found, parameters)
            return _follow(client, found, run, told)
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            raise ConvoyError(
                f"Prefect's server at {client.api_url} does not answer as it should ({error}): "
                f"see its log, and its page for what became of the run."
            ) from error


def _pool(client: SyncPrefectClient, name: str) -> WorkPool:
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        known = [pool.name for pool in client.read_work_pools(work_pool_filter=WorkPoolFilter())]
        mend = nearest(name, known) if known else "`convoy worker` makes one on a machine."
        raise UsageError(f"there is no work pool {name!r}: {mend}") from None
    if found.is_paused:
        raise ConvoyError(
            f"the work pool {name!r} is paused: `prefect work-pool resume {name}` lets it work."
        )
    return found


def _alive(client: SyncPrefectClient, pool: WorkPool) -> bool:
    now = datetime.now(UTC)
    seen = [w.last_heartbeat_time for w in client.read_workers_for_work_pool(pool.name)]
    return any(time and (now - time).total_seconds() < SILENCE for time in seen)


def _require_worker(client: SyncPrefectClient, pool: WorkPool) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _alive(client, pool):
        if time.monotonic() > deadline:
            raise ConvoyError(
                f"the work pool {pool.name!r} has no worker: start one with `convoy worker "
                f"{pool.name}` on a machine that trains; nothing was started."
            )
        time.sleep(POLL)


def _create(client: SyncPrefectClient, pool: WorkPool, parameters: dict[str, Any]) -> FlowRun:
    """Give the pool a run, of a deployment that is brought up to date first."""
    flow_id = client.create_flow(pipeline)
    deployment = client.create_deployment(
        flow_id,
        name=pool.name,
        work_pool_name=pool.name,
        entrypoint="flows.pipeline.pipeline",
        pull_steps=[{"flows.place.enter": {}}],
        parameter_openapi_schema=parameter_schema(pipeline).model_dump_for_openapi(),
    )
    return client.create_flow_run_from_deployment(
        deployment, parameters=parameters, state=Scheduled()
    )


def _follow(client: SyncPrefectClient, pool: WorkPool, run: FlowRun, told: Told) -> FlowRun:
    shown, silent = "", time.monotonic()
    while True:
        state = run.state
        if state is not None and state.is_final():
            return run
        name = (state.name if state is not None else None) or "unknown"
        if name != shown:
            shown = name
            told(name)
        if state is None or not state.is_scheduled() or _alive(client, pool):
            silent = time.monotonic()
        elif time.monotonic() - silent > PATIENCE:
            _withdraw(client, run.id)
            raise ConvoyError(
                f"the last worker of the work pool {pool.name!r} is gone: start one with `convoy "
                f"worker {pool.name}` and submit again; the run was cancelled."
            )
        time.sleep(POLL)
        run = client.read_flow_run(run.id)


def _withdraw(client: SyncPrefectClient, run: UUID) -> None:
    gone: Any = Cancelled(message="no worker of its pool was there.")
    client.set_flow_run_state(run, gone, force=True)
