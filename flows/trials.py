"""A sweep's trainings on the workers of a Dask cluster; the search stays with the sweep's process.

Imported where `CONVOY_ENGINE` names an engine and nowhere else, as `flows.engine`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from convoy.engine import Engine
from convoy.errors import Stopped
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.trainers import Elsewhere
from convoy.programs.launcher import STOPPED
from convoy.project import Project
from flows.engine import carry_out, given_up, open_engine


@contextmanager
def elsewhere(project: Project, engine: Engine, trials: int) -> Iterator[Elsewhere]:
    """Trainings on the engine's workers, as many at a time as there are workers."""
    with open_engine(project, engine) as runner:
        there = engine.workers or len(runner.client.scheduler_info(n_workers=-1)["workers"])
        # The flow's own: that of a trial's task holds an open sweep, which cannot travel.
        context = copy_context()

        def send(order: Order) -> Sent:
            told = {"order": order.model_dump(), "workers": engine.workers}
            return Sent(runner, context.copy().run(runner.submit, carry_out, told))

        yield Elsewhere(send, min(there, trials))


class Sent:
    """An order on its way to a worker, or at work on one."""

    def __init__(self, runner: DaskTaskRunner, future: PrefectDaskFuture[dict[str, Any]]) -> None:
        self._runner, self._future = runner, future
        self._ended = threading.Event()
        future.wrapped_future.add_done_callback(lambda _: self._ended.set())

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def delivery(self) -> Delivery:
        if self._future.wrapped_future.cancelled():
            raise Stopped(STOPPED)
        with given_up("a trial"):
            return Delivery.model_validate(self._future.result())

    def cancel(self) -> None:
        self._runner.client.cancel([self._future.wrapped_future])
