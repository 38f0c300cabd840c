"""The runner of `convoy up`: serves the deployments of prefect.yaml, and cares for their runs."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Collection, Sequence
from importlib import import_module
from uuid import UUID

import anyio
from prefect import Flow
from prefect.runner import Runner
from prefect.schedules import Cron

from convoy.deployments import Deployment, read_deployments
from convoy.files import write_json
from convoy.prefect_server import wait_for
from convoy.project import Project
from convoy.server_versions import check_prefect
from flows import interrupted

LIMIT = 8
"""Flow runs that are begun at once; those of the pipeline then wait for their turn."""
LOOK = 0.1
"""Seconds between two looks for the first sign."""
EVERY = 5.0
"""Seconds between two signs of life, and between two looks for runs that were interrupted."""


def main() -> None:
    """Serve until this process is asked to end."""
    project = Project.find()
    flows = [(one, _flow(one)) for one in read_deployments(project).deployments]
    server = os.environ["PREFECT_API_URL"]
    wait_for(server)  # which starts while the flows are imported
    check_prefect(server)
    try:
        asyncio.run(_serve(project, flows))
    finally:
        # Python would wait for them at its exit; a training writes its checkpoint meanwhile.
        for flow_run in multiprocessing.active_children():
            flow_run.terminate()


def _flow(one: Deployment) -> Flow[..., object]:
    flow: Flow[..., object] = getattr(import_module(one.module), one.flow)
    return flow


async def _serve(project: Project, flows: Sequence[tuple[Deployment, Flow[..., object]]]) -> None:
    runner = Runner(name="convoy", limit=LIMIT, pause_on_shutdown=False)
    served = [await _add(runner, *one) for one in flows]
    # Before the first look for work, which takes what is due as it is.
    await anyio.to_thread.run_sync(interrupted.settle, project, served, True)
    await anyio.to_thread.run_sync(interrupted.collapse, served)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_care, runner, project, served)
        await runner.start()
        tasks.cancel_scope.cancel()


async def _add(runner: Runner, one: Deployment, flow: Flow[..., object]) -> UUID:
    schedules = [
        Cron(found.cron, timezone=found.timezone, active=found.active) for found in one.schedules
    ]
    return await runner.aadd_flow(
        flow,
        name=one.name,
        schedules=schedules,
        parameters=one.parameters,
        description=one.description,
        tags=one.tags,
    )


async def _care(runner: Runner, project: Project, served: Collection[UUID]) -> None:
    """Give a sign of life as long as the runner looks for work; go on with what was cut off."""
    while runner.last_polled is None:
        await anyio.sleep(LOOK)
    while True:
        polled = runner.last_polled
        if polled is not None and time.time() - polled.timestamp() < 60:
            write_json(project.state / "runner.alive", time.time())
        await anyio.sleep(EVERY)
        await anyio.to_thread.run_sync(interrupted.settle, project, served, False)


if __name__ == "__main__":
    main()
