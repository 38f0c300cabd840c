"""The champion on the test split as it is by now: whether it still is what it was promoted for."""

from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from convoy import stories
from convoy.addresses import mlflow_interface
from convoy.pipeline import champion
from convoy.pipeline.champion import Rescored
from convoy.plan import Plan, make_plan
from convoy.project import Project
from flows import story
from flows.notify import notify
from flows.parameters import Dataset
from flows.served import served
from flows.stopping import STOPS, cancelled

Alias = Literal["champion", "challenger"]


@task(task_run_name="score the {alias} again", cache_policy=NO_CACHE)
def score_again(plan: Plan, alias: str, flow_run_id: str) -> Rescored:
    """Return the scores of now beside those of then."""
    return champion.rescore(plan, alias, flow_run_id)


@flow(name="evaluate", description=__doc__, on_failure=[notify], on_crashed=[notify])
def evaluate(dataset: Dataset = None, alias: Alias = "champion") -> dict[str, Any] | State[Any]:
    """Score a registered model again on the present test split, and record it in MLflow.

    Args:
        dataset: an entry of params.yaml; its `run.dataset` where nothing is named.
        alias: which version of the model that the dataset feeds.
    """
    plan = make_plan(Project.find(), dataset)
    try:
        with served(plan.project, plan.dataset, plan.settings.schedule.overlap) as left_out:
            if left_out:
                return left_out
            result = score_again(plan, alias, str(flow_run.id))
            story.tell(f"{result.model} {alias}", stories.rescored(result, mlflow_interface()))
    except STOPS as stop:
        return cancelled(stop)
    return result.model_dump()
