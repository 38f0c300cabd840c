"""Which runs are compared: those that are named, or the last pipeline's and the champion's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoy import lookup, registry, tracking
from convoy.errors import UsageError
from convoy.lookup import short
from convoy.plan import Plan
from convoy.registry import CHAMPION, Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENDINGS = {"FAILED": "failed", "KILLED": "was stopped before its end"}


@dataclass(frozen=True)
class Choice:
    """Finished trainings of one experiment."""

    dataset: str
    runs: "tuple[Run, ...]"
    champion: Registered | None
    """The version that serves what is trained on this dataset."""
    added: str = ""
    """The champion's run where nobody has named it, which may be left out."""
    notes: tuple[str, ...] = ()


def choose(client: "MlflowClient", plan: Plan, named: Sequence[str], dataset: str | None) -> Choice:
    """Return the named runs, or the trainings of the last pipeline run and the champion's.

    Raises `UsageError` for a run that is unknown, not finished, or no training, for runs of
    different experiments, and where there is nothing to compare yet.
    """
    if not named:
        return _latest(client, plan)
    runs = lookup.runs_named(client, named)
    for run in runs:
        _refuse_unfit(client, run)
    theirs = {lookup.experiment_name(client, run): short(run) for run in reversed(runs)}
    if len(theirs) > 1:
        said = " and ".join(f"{run} of {name!r}" for name, run in theirs.items())
        raise UsageError(f"{said} are of different experiments: compare runs on one dataset.")
    ((name, run_named),) = theirs.items()
    if dataset and dataset != name:
        raise UsageError(f"{run_named} is a run on {name!r}, not on {dataset!r}.")
    known = plan.settings.datasets
    champion = registry.by_alias(client, known[name].model, CHAMPION) if name in known else None
    return Choice(name, tuple(runs), champion)


def _latest(client: "MlflowClient", plan: Plan) -> Choice:
    experiment = lookup.experiment_id(client, plan.dataset)
    latest = tracking.latest_pipeline(client, experiment) if experiment else None
    if latest is None:
        raise UsageError(f"no finished run on {plan.dataset!r} yet: start with `convoy run`.")
    trainings = latest.data.tags[tracking.TRAININGS].split(",")
    runs = tracking.get_runs(client, trainings)
    for run in runs:
        _refuse_unfit(client, run)
    champion = registry.by_alias(client, plan.data.model, CHAMPION)
    if champion is None or champion.run_id in trainings:
        return Choice(plan.dataset, tuple(runs), champion)
    title = f"the champion, version {champion.version},"
    try:
        (serving,) = lookup.runs_named(client, [champion.run_id])
    except UsageError:
        gone = f"{title} is not compared: its run {champion.run_id} is gone from MLflow."
        return Choice(plan.dataset, tuple(runs), champion, notes=(gone,))
    if serving.info.experiment_id != experiment:
        other = lookup.experiment_name(client, serving)
        elsewhere = f"{title} is not compared: it was trained on {other!r}."
        return Choice(plan.dataset, tuple(runs), champion, notes=(elsewhere,))
    return Choice(plan.dataset, (*runs, serving), champion, serving.info.run_id)


def _refuse_unfit(client: "MlflowClient", run: "Run") -> None:
    """Raise `UsageError` for what is not a finished training."""
    if "architecture" not in run.data.params:
        # What a pipeline kept of an earlier one is below that one, but compared by its tag.
        ids = list(filter(None, run.data.tags.get(tracking.TRAININGS, "").split(",")))
        ids = ids or [child.info.run_id for child in lookup.children(client, run)]
        below = [run_id[: lookup.SHORT] for run_id in ids]
        mend = f"compare its trainings, `convoy compare {' '.join(below)}`" if below else ""
        raise UsageError(
            f"run {short(run)} is the whole that trainings belong to: "
            f"{mend or 'it has none that could be compared'}."
        )
    if tracking.is_finished(run):
        return
    ended = ENDINGS.get(run.info.status)
    name = run.data.params["architecture"]
    raise UsageError(
        f"run {short(run)} {ended}: `convoy train {name}` trains it again."
        if ended
        else f"run {short(run)} has not ended: compare it when it has."
    )
