"""One trial of a sweep: a training like the pipeline's, given up where it is below the median."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from convoy import notes, tracking, training_files
from convoy.errors import ConvoyError, RecipeFailed, Stopped, UsageError
from convoy.pipeline.sweep import Sweep
from convoy.pipeline.trainers import Job
from convoy.pipeline.training import figures_of, tags_of
from convoy.progress import Step, report
from convoy.recipe import Recipe
from convoy.search import KEY, STATES, Tried
from convoy.space import with_values
from convoy.sweep_outcome import override, run_overrides
from convoy.training.spec import TrainingResult, finished, history, training_key

SWEEP = "convoy.sweep"
TRIAL = "convoy.trial"
PRUNED = "pruned"


def try_one(work: Sweep) -> str:
    """Take the next trial, train as it says unless that was done before; return how it ended.

    What goes wrong with its recipe alone fails the trial; all else is raised and the trial can go
    on later.
    """
    if work.is_over:
        raise Stopped("the sweep has ended.")
    tried = work.search.take()
    step = f"trial {tried.number}"
    report(Step(step, "running"))
    try:
        recipe = with_values(work.recipe, tried.values)
        work.plan.check_recipe(work.architecture, recipe)
    except (ValidationError, UsageError) as error:
        return _failed(work, tried, _sentence(error))
    run = work.plan.settings.run
    decided = (work.architecture, recipe, run.seed, work.version.digest, run.deterministic)
    key = training_key(*decided)
    tried.remember(**{KEY: key})
    with work.alone(key):
        if earlier := work.search.earlier(tried, key):
            work.search.repeat(tried, earlier)
            report(Step(step, "kept", f"the same as trial {earlier.number}"))
            return STATES[earlier.state]
        if ended := _ended(work, tried, key):
            return ended
        with work.trainer.slot(step):
            return _train(work, tried, recipe, key)


def _ended(work: Sweep, tried: Tried, key: str) -> str | None:
    """Complete a trial whose training is there, here or elsewhere; None where it is not."""
    folder = _folder(work, key)
    if not training_files.bring_finished(work.client, work.experiment, key, folder):
        return None
    run, result = tracking.find(work.client, work.experiment, key), finished(folder)
    assert run and result
    run_id = str(run.info.run_id)
    own = {SWEEP: work.study, TRIAL: str(tried.number)}
    if own.items() <= run.data.tags.items():  # cut off before its run could say so
        _describe(work, tried, run_id, _came(result), {})
    return _complete(work, tried, run_id, result)


def _train(work: Sweep, tried: Tried, recipe: Recipe, key: str) -> str:
    step, folder = f"trial {tried.number}", _folder(work, key)
    run_id = tracking.open_training(
        work.client,
        work.experiment,
        work.run_id,
        key,
        work.architecture,
        recipe.flat(),
        work.plan.settings.run.seed,
        work.stamps,
        f"{work.architecture} {step}",
    )
    tags = {SWEEP: work.study, TRIAL: str(tried.number)}
    _describe(work, tried, run_id, "not at its end yet", tags)
    last: dict[str, Any] = {}

    def watch(row: dict[str, Any]) -> bool:
        tried.report(row["epoch"], work.value(row["metrics"]))
        if last or row["epoch"] == row["epochs"] or not tried.is_hopeless():
            return False
        last.update(row)
        return True

    overrides = tuple(_overrides(work, tried))
    try:
        job = Job(step, work.architecture, recipe, overrides, folder, run_id)
        result = work.trainer.fit(work, job, watch)
    except RecipeFailed as error:
        _describe(work, tried, run_id, f"failed: {str(error).rstrip('.')}", {})
        tracking.close(work.client, run_id, "FAILED")
        return _failed(work, tried, str(error), run_id)
    except BaseException as error:
        if last and not work.is_over and isinstance(error, ConvoyError):
            return _pruned(work, tried, run_id, last)
        killed = work.is_over or isinstance(error, Stopped)
        tracking.close(work.client, run_id, "KILLED" if killed else "FAILED")
        raise
    if last:  # it ended by itself before it could be stopped
        return _pruned(work, tried, run_id, last)
    for row in history(folder):
        tried.report(row["epoch"], work.value(row["metrics"]))
    tracking.log_metrics(work.client, run_id, figures_of(result))
    _describe(work, tried, run_id, _came(result), tags_of(result))
    tracking.close(work.client, run_id)
    return _complete(work, tried, run_id, result)


def _came(result: TrainingResult) -> str:
    return (
        f"validation accuracy **{result.val_accuracy:.2%}**, loss {result.val_loss:.4f}, of epoch "
        f"{result.best_epoch} of {result.epochs}"
    )


def _folder(work: Sweep, key: str) -> Path:
    return work.project.runs / key[:32]


def _complete(work: Sweep, tried: Tried, run_id: str, result: TrainingResult) -> str:
    figures = {"val/accuracy": result.val_accuracy, "val/loss": result.val_loss}
    _remember(tried, run_id, figures, result.epochs)
    work.search.complete(tried, work.value(figures))
    accuracy = f"validation accuracy {result.val_accuracy:.2%}"
    report(Step(f"trial {tried.number}", "done", accuracy))
    return "complete"


def _pruned(work: Sweep, tried: Tried, run_id: str, row: dict[str, Any]) -> str:
    _remember(tried, run_id, row["metrics"], row["epoch"])
    accuracy = f"at a validation accuracy of {row['metrics']['val/accuracy']:.2%}"
    came = f"pruned after epoch {row['epoch']}, {accuracy}"
    _describe(work, tried, run_id, came, {tracking.ENDED: PRUNED})
    tracking.close(work.client, run_id, "KILLED")
    work.search.prune(tried)
    report(Step(f"trial {tried.number}", "done", f"pruned after epoch {row['epoch']}"))
    return PRUNED


def _failed(work: Sweep, tried: Tried, reason: str, run_id: str | None = None) -> str:
    if run_id:
        tried.remember(run_id=run_id)
    work.search.fail(tried, reason)
    report(Step(f"trial {tried.number}", "failed", reason))
    return "failed"


def _describe(work: Sweep, tried: Tried, run_id: str, came: str, tags: Mapping[str, str]) -> None:
    how = notes.again(work.stamps, work.plan, [work.architecture], _overrides(work, tried))
    named = f"Trial {tried.number}"
    note = notes.trial(named, work.architecture, tried.values, came, work.stamps, how)
    tracking.describe(work.client, run_id, note, tags)


def _overrides(work: Sweep, tried: Tried) -> list[str]:
    values = (override(work.architecture, *pair) for pair in tried.values.items())
    return [*run_overrides(work.plan), *values]


def _remember(tried: Tried, run_id: str, metrics: dict[str, float], epochs: int) -> None:
    accuracy, loss = metrics["val/accuracy"], metrics["val/loss"]
    tried.remember(run_id=run_id, val_accuracy=accuracy, val_loss=loss, epochs=epochs)


def _sentence(error: ValidationError | UsageError) -> str:
    if isinstance(error, UsageError):
        return str(error)
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
