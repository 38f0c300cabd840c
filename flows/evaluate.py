"""Evaluation: pure, so never retried."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline import training
from convoy.pipeline.session import Session


@task(task_run_name="evaluate {architecture}", cache_policy=NO_CACHE)
def evaluate(work: Session, architecture: str) -> float:
    """Return the test accuracy."""
    return training.evaluate(work, architecture)
