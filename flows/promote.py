"""Registration, gate and promotion. What talks to the registry is retried; the judgement is not."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.gate import Verdict
from convoy.pipeline import release
from convoy.pipeline.release import Registration
from convoy.pipeline.session import Session
from flows.retries import transient


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=transient, cache_policy=NO_CACHE)
def register(work: Session) -> Registration:
    """Return the registered version beside the present champion."""
    return release.register(work)


@task(cache_policy=NO_CACHE)
def gate(work: Session, registered: Registration) -> Verdict:
    """Return whether the version may serve, and why."""
    return release.judge(work, registered)


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=transient, cache_policy=NO_CACHE)
def promote(work: Session, registered: Registration, verdict: Verdict) -> str:
    """Do what the gate said; return the version's alias."""
    return release.settle_verdict(work, registered, verdict)
