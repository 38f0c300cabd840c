"""A sweep: ingest, then the trials of one architecture's recipes, some at the same time."""

from contextlib import AbstractContextManager
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from convoy import engine, sweep_outcome
from convoy.pipeline.sweep import Sweep, finish
from convoy.pipeline.trainers import Trainer, here
from convoy.pipeline.trial import try_one
from convoy.plan import Plan, make_plan
from convoy.project import Project
from flows import crashed
from flows.ingest import ingest
from flows.slots import device
from flows.stopping import STOPS, cancelled


@task(cache_policy=NO_CACHE)
def trial(work: Sweep) -> str:
    """Return how the trial ended; one that was cut off is gone on with by the next run."""
    return try_one(work)


@flow(name="sweep", description=__doc__)
def sweep(
    architecture: str, dataset: str | None = None, overrides: list[str] | None = None
) -> dict[str, Any] | State[Any]:
    """Look for an architecture's best recipe, or say that nothing is left to try.

    Args:
        architecture: one that params.yaml has a section in `sweeps` for.
        dataset: an entry of params.yaml; its `run.dataset` where nothing is named.
        overrides: settings for this run alone, as "sweeps.lenet5.trials=40".
    """
    plan = make_plan(Project.find(), dataset, [architecture], overrides or ())
    try:
        with crashed.untagged(), Sweep(plan, str(flow_run.id), _trainer(plan)) as work:
            crashed.settle(work.dead_flow_runs)
            ingest(work)
            # What trains ends first, so that no thread waits for it.
            threads: ThreadPoolTaskRunner[str] = ThreadPoolTaskRunner(work.trainer.places)
            with threads as workers, work.trials():
                begun = [workers.submit(trial, {"work": work}) for _ in work.due()]
                for ended in as_completed(list[PrefectFuture[str]](begun)):
                    ended.result()
            result = finish(work)
    except STOPS as stop:
        return cancelled(stop)
    sweep_outcome.keep(plan, result)
    return result.model_dump()


def _trainer(plan: Plan) -> AbstractContextManager[Trainer]:
    """Return what trains: programs of this machine, or the engine's workers."""
    asked = plan.settings.sweep(plan.architectures[0])
    if (found := engine.chosen()) is None:
        return here(plan.project, min(asked.parallel, asked.trials), device)
    from flows.trials import elsewhere  # Dask, which nobody else waits for

    return elsewhere(plan.project, found, asked.trials)
