"""Trainings beside each other on the workers of a Dask cluster, by Prefect's task runner for it.

Imported where `CONVOY_ENGINE` names an engine and nowhere else: Dask takes a while to import. Tasks
take and give small JSON (`convoy.pipeline.order`). A task whose worker was killed, Dask gives to
another one, which goes on in the same MLflow run.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Security, get_client, get_worker
from distributed.scheduler import KilledWorker
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect_dask.task_runners import DaskTaskRunner

from convoy import progress
from convoy.engine import VARIABLE, Engine
from convoy.errors import ConvoyError, Stopped
from convoy.pipeline import dispatch, errand
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.session import Session
from convoy.pipeline.workplace import Place
from convoy.progress import Step, report
from convoy.project import Project

TOPIC = "convoy.progress"
ARRIVAL = 60.0
"""Seconds that a cluster without a worker is waited for."""


@task(task_run_name="train {order[architecture]} elsewhere", cache_policy=NO_CACHE)
def carry_out(order: dict[str, Any], workers: int) -> dict[str, Any]:
    """Train, evaluate and inspect on the worker that this runs on."""
    with _told():
        place = place_of(workers)
        return errand.carry_out(Order.model_validate(order), Project.find(), place).model_dump()


def train_elsewhere(work: Session, engine: Engine) -> None:
    """Have the engine train what the pipeline has not yet; what it trained lies here then."""
    ordered = dispatch.orders(work)
    if not ordered:
        return
    began = time.monotonic()
    try:
        with open_engine(work.project, engine) as runner:
            _follow(work, runner, engine, ordered)
    except BaseException as error:
        failed = isinstance(error, Exception) and not isinstance(error, Stopped)
        dispatch.give_up(work, "FAILED" if failed else "KILLED")
        raise
    work.fit_seconds += time.monotonic() - began


def _follow(work: Session, runner: DaskTaskRunner, engine: Engine, ordered: list[Order]) -> None:
    runner.client.subscribe_topic(TOPIC, lambda told: dispatch.told(progress.parsed(told[1])[0]))
    begun = [
        runner.submit(carry_out, {"order": order.model_dump(), "workers": engine.workers})
        for order in ordered
    ]
    try:
        for ended in as_completed(list[PrefectFuture[dict[str, Any]]](begun)):
            with given_up("a training"):
                dispatch.receive(work, Delivery.model_validate(ended.result()))
    finally:
        runner.client.cancel([future.wrapped_future for future in begun])


@contextmanager
def given_up(what: str) -> Iterator[None]:
    """Say in one sentence what Dask gives to no further worker."""
    try:
        yield
    except KilledWorker as error:
        raise ConvoyError(
            f"{what} was given up, as worker after worker was killed over it (the last was "
            f"{error.last_worker.address}): look whether their memory ran out, then run again; it "
            f"goes on from there."
        ) from error


@contextmanager
def open_engine(project: Project, engine: Engine) -> Iterator[DaskTaskRunner]:
    """A task runner on the engine's workers; a cluster of this machine ends with the block.

    Raises `ConvoyError` where no scheduler or no worker answers within a minute.
    """
    report(Step("engine", "running", engine.address or f"{engine.workers} workers"))
    with dask.config.set(_local() if engine.workers else {}):
        runner = _runner(project, engine)
        with runner:
            try:
                runner.client.wait_for_workers(1, timeout=ARRIVAL)
            except TimeoutError:
                raise ConvoyError(
                    f"no worker has come to {engine.address or 'the cluster'} within {ARRIVAL:.0f} "
                    f"s: start one in a clone with `dask worker {engine.address} --nthreads 1 "
                    f"--preload flows.worker`."
                ) from None
            except OSError as error:
                raise ConvoyError(
                    f"{VARIABLE} is {engine.address!r}, but no Dask scheduler answers there "
                    f"({error}): start it with `dask scheduler`, or correct the address."
                ) from error
            report(
                Step("engine", "done", f"{len(runner.client.scheduler_info()['workers'])} workers")
            )
            yield runner


def _local() -> dict[str, Any]:
    return {
        # A worker's programs are given their share of the cores; a worker computes nothing itself.
        "distributed.nanny.pre-spawn-environ": {},
    }


def _runner(project: Project, engine: Engine) -> DaskTaskRunner:
    if engine.address:
        return DaskTaskRunner(address=engine.address)
    cluster = {
        "n_workers": engine.workers,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        # Whoever may send a task may run anything: none but this process's own get in.
        "protocol": "tls://",
        "security": Security.temporary(),
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": None,
        "local_directory": str(project.scratch / "dask"),
        "silence_logs": logging.CRITICAL,
    }
    return DaskTaskRunner(cluster_kwargs=cluster)


def place_of(workers: int) -> Place:
    """Return which of this machine's workers this one is, for its share of cores and GPUs."""
    here = get_worker()
    if workers and isinstance(here.name, int):
        return Place(here.name, workers)
    host = here.address.rpartition(":")[0]
    there = get_client().scheduler_info(n_workers=-1)["workers"]
    beside = sorted(address for address in there if address.rpartition(":")[0] == host)
    return Place(beside.index(here.address), len(beside))


@contextmanager
def _told() -> Iterator[None]:
    """Tell whoever ordered what is reported here."""
    handler = _Sent()
    progress.logger.addHandler(handler)
    try:
        yield
    finally:
        progress.logger.removeHandler(handler)


class _Sent(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._worker = get_worker()

    def emit(self, record: logging.LogRecord) -> None:
        self._worker.log_event(TOPIC, progress.written(record))
