"""Training: one task an architecture, around a program of its own. Resumed by the next run."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from convoy.pipeline import training
from convoy.pipeline.session import Session
from flows.slots import device


@task(task_run_name="train {architecture}", cache_policy=NO_CACHE)
def train(work: Session, architecture: str) -> str:
    """Return the MLflow run."""
    return training.train(work, architecture, device)
