"""What a registered model says of many image files, as a table; each version of a file once."""

from typing import Annotated, Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from pydantic import Field

from convoy import engine, stories
from convoy.pipeline import scoring
from convoy.pipeline.scoring import Scored
from convoy.project import Project
from flows import story
from flows.notify import notify
from flows.parameters import Model
from flows.served import served
from flows.stopping import STOPS, cancelled

Paths = Annotated[list[str], Field(min_length=1)]
Form = Literal["csv", "parquet"]


@task(task_run_name="predict with {model}", cache_policy=NO_CACHE)
def predict(
    project: Project, model: str, paths: list[str], output: str | None, form: Form
) -> Scored:
    """Return what came of the batch; one that was cut off is gone on with by the next run."""
    return scoring.score(project, model, paths, output, form, _means())


@flow(name="score", description=__doc__, on_failure=[notify], on_crashed=[notify])
def score(
    model: Model, paths: Paths, output: str | None = None, form: Form = "csv"
) -> dict[str, Any] | State[Any]:
    """Predict image files with a registered model, and write a table of what it says.

    Args:
        model: a registered model, as "digits@champion" or "digits/3".
        paths: files, folders and patterns, from the project's top.
        output: the file to write; otherwise one in .convoy/scores.
        form: what kind of table.
    """
    project = Project.find()
    engine.chosen()  # refused here, before anything is started
    try:
        with served(project, "", turns=False):
            result = predict(project, model, paths, output, form)
            story.tell(f"scores {result.model}", stories.scored(result))
    except STOPS as stop:
        return cancelled(stop)
    return result.model_dump()


def _means() -> scoring.Means | None:
    if (found := engine.chosen()) is None:
        return None
    from flows.portions import elsewhere  # Dask, which nobody else waits for

    return elsewhere(found)
