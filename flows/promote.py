"""Registration, gate and promotion. What talks to the registry is retried; the judgement is not."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline import Pipeline
from flows.retries import transient


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=transient, cache_policy=NO_CACHE)
def register(work: Pipeline) -> dict[str, Any]:
    """Return the registered version and the present champion's."""
    return work.register()


@task(cache_policy=NO_CACHE)
def gate(work: Pipeline) -> bool:
    """Return whether the version may serve."""
    return work.judge().allowed


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=transient, cache_policy=NO_CACHE)
def promote(work: Pipeline) -> str:
    """Do what the gate said; return the version's alias."""
    return work.settle_verdict()
