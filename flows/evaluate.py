"""Evaluation and inspection: pure, so never retried."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline import inspection, training
from convoy.pipeline.session import Session


@task(task_run_name="evaluate {architecture}", cache_policy=NO_CACHE)
def evaluate(work: Session, architecture: str) -> float:
    """Return the test accuracy."""
    return training.evaluate(work, architecture)


@task(task_run_name="inspect {architecture}", cache_policy=NO_CACHE)
def inspect(work: Session, architecture: str) -> int:
    """Return how many figures there are."""
    return inspection.inspect(work, architecture)
