"""Ingestion: DVC's stages and the push to its remote, both input and output, so retried."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline.session import Session
from flows.retries import transient


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=transient, cache_policy=NO_CACHE)
def ingest(work: Session) -> str:
    """Return the dataset version's hash."""
    return work.ingest()
