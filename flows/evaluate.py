"""Evaluation: pure, so never retried."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline import Pipeline


@task(task_run_name="evaluate {architecture}", cache_policy=NO_CACHE)
def evaluate(work: Pipeline, architecture: str) -> float:
    """Return the test accuracy."""
    return work.evaluate(architecture)
