"""The pipeline: ingest, train and evaluate each architecture, register the best, gate, promote."""

import os
import sys
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from convoy import engine, outcome, stories
from convoy.addresses import mlflow_interface
from convoy.pipeline.release import finish
from convoy.pipeline.session import Session
from convoy.pipeline.training import trained
from convoy.plan import make_plan
from convoy.project import Project
from flows import crashed, story
from flows.announce import announce
from flows.approval import decide
from flows.evaluate import evaluate, inspect
from flows.ingest import ingest
from flows.notify import notify
from flows.parameters import Architectures, Dataset, Overrides
from flows.promote import gate, promote, register
from flows.served import served
from flows.stopping import STOPS, cancelled
from flows.train import train


@flow(name="pipeline", description=__doc__, on_failure=[notify], on_crashed=[notify])
def pipeline(
    dataset: Dataset = None,
    architectures: Architectures = None,
    overrides: Overrides = None,
    strict: bool = False,
) -> dict[str, Any] | State[Any]:
    """Run the whole pipeline, or say that nothing has changed.

    Args:
        dataset: an entry of params.yaml; its `run.dataset` where nothing is named.
        architectures: names of `convoy architectures`, or ["all"]; `run.architectures` likewise.
        overrides: settings for this run alone, as "recipes.lenet5.epochs=3".
        strict: refuse a dataset version that could not be had again elsewhere.
    """
    plan = make_plan(Project.find(), dataset, architectures or (), overrides or (), strict)
    try:
        with served(plan.project, plan.dataset, plan.settings.schedule.overlap) as left_out:
            if left_out:
                return left_out
            if kept := outcome.unchanged(plan):
                story.tell(plan.data.model, stories.pipeline(kept, mlflow_interface(), True))
                return decide(plan, kept).model_dump()
            with crashed.untagged(), Session(plan, str(flow_run.id)) as work:
                _train_each(work)
                registered = register(work)
                verdict = gate(work, registered)
                alias = promote(work, registered, verdict)
                announce(work, registered)
                result = finish(work, registered, verdict, alias)
            outcome.keep(plan, result)
            story.tell(plan.data.model, stories.pipeline(result, mlflow_interface()))
            return decide(plan, result).model_dump()
    except STOPS as stop:
        return cancelled(stop)


@flow(name="training")
def training(
    dataset: str | None = None,
    architectures: list[str] | None = None,
    overrides: list[str] | None = None,
    strict: bool = False,
) -> dict[str, Any] | State[Any]:
    """Train and evaluate as the pipeline does, with its arguments; register and promote nothing."""
    plan = make_plan(Project.find(), dataset, architectures or (), overrides or (), strict)
    try:
        with crashed.untagged(), Session(plan, str(flow_run.id), releases=False) as work:
            _train_each(work)
            result = trained(work)
            work.close(work.run_id)
    except STOPS as stop:
        return cancelled(stop)
    return result.model_dump()


def _train_each(work: Session) -> None:
    crashed.settle(work.dead_flow_runs)
    ingest(work)
    if found := engine.chosen():
        from flows.engine import train_elsewhere  # Dask, which nobody else waits for

        train_elsewhere(work, found)
    for architecture in work.plan.architectures:
        train(work, architecture)
        evaluate(work, architecture)
        inspect(work, architecture)


if __name__ == "__main__":
    # Prefect reads its settings when it is imported, which has happened: begin in a new process.
    os.execv(sys.executable, [sys.executable, "-m", "convoy", "run", *sys.argv[1:]])
