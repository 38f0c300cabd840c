"""The side that orders: which trainings go to workers elsewhere, and how they come back.

What comes back lies in this project's folders as if it had been trained here, so that everything
after it is done as ever: nothing downstream knows where a training ran.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict

from convoy import open_runs, tracking, training_files
from convoy.addresses import without_credentials
from convoy.errors import ConvoyError
from convoy.pipeline.errand import origin
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.session import Session
from convoy.progress import Epoch, Event, Step, report
from convoy.recipe import Recipe
from convoy.training.spec import training_key


def orders(work: Session) -> list[Order]:
    """Return orders for the architectures that are not trained yet; bring home those elsewhere."""
    plan = work.plan
    found = (order(work, n, plan.settings.recipe(n), plan.overrides) for n in plan.architectures)
    return [one for one in found if not _is_there(work, one)]


def order(
    work: Session,
    architecture: str,
    recipe: Recipe,
    overrides: Sequence[str],
    evaluated: bool = True,
) -> Order:
    """Return the order for a training by this recipe, in the place of the settings' own."""
    run, settings = work.plan.settings.run, work.plan.settings
    decided = (architecture, recipe, run.seed, work.version.digest, run.deterministic)
    told = settings.model_copy(
        update={"recipes": {**settings.recipes, architecture: recipe}, "sweeps": {}}
    )
    return Order(
        architecture=architecture,
        key=training_key(*decided),
        dataset=work.plan.dataset,
        version=work.version.hash,
        settings=told.model_dump(mode="json", by_alias=True),
        overrides=list(overrides),
        evaluated=evaluated,
        stamps=asdict(work.stamps),
        experiment=work.experiment,
        run_id=work.run_id,
        tracking_uri=without_credentials(os.environ["MLFLOW_TRACKING_URI"]),
        origin=origin(work.project),
    )


def _is_there(work: Session, order: Order) -> bool:
    folder = work.project.runs / order.key[:32]
    return training_files.bring_finished(work.client, work.experiment, order.key, folder)


def receive(work: Session, delivery: Delivery) -> None:
    """Take in what a worker has trained, its files verified.

    Raises `ConvoyError` where the worker speaks of a whole training and there is none.
    """
    folder = work.project.runs / delivery.key[:32]
    there = training_files.bring_finished(work.client, work.experiment, delivery.key, folder)
    if not there:
        raise ConvoyError(
            f"{delivery.worker} says that it has trained {delivery.architecture}, but MLflow has "
            f"no finished run with its files: look at run {delivery.run_id}, and run again."
        )
    if not delivery.kept:
        work.delivered.add(delivery.architecture)


def give_up(work: Session, status: str) -> None:
    """End what workers still train for this run; they stop when they see it."""
    tracking.close(work.client, work.run_id, status)
    open_runs.end_children(work.client, work.experiment, work.run_id, status)


def told(event: Event) -> None:
    """Report what a worker reports of a training, as far as nobody here says it as well."""
    if isinstance(event, Epoch) or (isinstance(event, Step) and event.state == "running"):
        report(event)
