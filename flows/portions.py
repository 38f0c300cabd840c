"""The parts of a batch beside each other on the workers of a Dask cluster.

Imported where `CONVOY_ENGINE` names an engine and nowhere else, as `flows.engine`. A part whose
worker was killed, Dask gives to another one; what has come back lies on the disk, so that a batch
that is run again orders the others alone.
"""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed

from convoy.engine import Engine
from convoy.pipeline import portion
from convoy.pipeline.portion import Portion, Rows
from convoy.pipeline.scoring import Due, Means
from convoy.progress import Images, report
from convoy.project import Project
from flows.engine import given_up, open_engine, place_of


@task(task_run_name="predict part {number} elsewhere", cache_policy=NO_CACHE)
def predict_part(order: dict[str, Any], number: int, workers: int) -> dict[str, Any]:
    """Predict some files of a batch on the worker that this runs on."""
    place = place_of(workers)
    return portion.carry_out(Portion.model_validate(order), Project.find(), place).model_dump()


def elsewhere(engine: Engine) -> Means:
    """Return the means that predict on the engine's workers."""

    def predict(due: Due) -> None:
        done, ordered = 0, portion.portions(due)
        with open_engine(due.project, engine) as runner:
            begun = {}
            for number, (output, order) in enumerate(ordered.items(), 1):
                told = {"order": order.model_dump(), "number": number, "workers": engine.workers}
                future = runner.submit(predict_part, told)
                begun[future.task_run_id] = future, order, output
            futures = [future for future, _, _ in begun.values()]
            try:
                for ended in as_completed(list[PrefectFuture[dict[str, Any]]](futures)):
                    future, order, output = begun[ended.task_run_id]
                    with given_up("a part of the batch"):
                        rows = Rows.model_validate(ended.result())
                    done += portion.receive(order, rows, output)
                    # It is kept here: a worker that dies from now on does not have to make it anew.
                    runner.client.cancel([future.wrapped_future])
                    report(Images("score", done))
            finally:
                runner.client.cancel([future.wrapped_future for future in futures])

    return predict
