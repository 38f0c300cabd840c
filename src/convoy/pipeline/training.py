"""The tasks that train and evaluate an architecture, and what MLflow is told of them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from convoy import digests, environment, notes, published_weights, tracking
from convoy.errors import ConvoyError
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.figures import curves_figure
from convoy.kept import keep_image
from convoy.outcome import Row, Trained
from convoy.pipeline.session import Session, Training
from convoy.programs.launcher import Launcher
from convoy.progress import Epoch, Step, report
from convoy.recipe import Recipe
from convoy.slots import Slot, unshared
from convoy.system_metrics import monitored
from convoy.training.spec import TrainingResult, TrainingSpec, finished, history, training_key

CONFUSION = "confusion_matrix"
EVALUATION = "convoy.evaluation"
"""The tag with the key of the evaluation that a run holds."""


def train(work: Session, architecture: str, slot: Slot = unshared) -> str:
    """Train one architecture, or keep what is there. Return its run id.

    `slot` holds the device meanwhile; what is kept needs none.
    """
    step = f"train {architecture}"
    run, recipe = work.plan.settings.run, work.plan.settings.recipe(architecture)
    key = training_key(architecture, recipe, run.seed, work.version.digest, run.deterministic)
    folder = work.project.runs / key[:32]
    found = tracking.find(work.client, work.experiment, key)
    result = finished(folder)
    if found is not None and result is not None and tracking.is_finished(found):
        run_id = str(found.info.run_id)
        logged = found.data.tags.get(EVALUATION, "")
        kept = architecture not in work.delivered
        there = Training(architecture, key, folder, run_id, kept, result, logged)
        work.trainings[architecture] = there
        if kept:
            report(Step(step, "kept"))
        return run_id
    report(Step(step, "running"))
    with slot(step):
        run_id = tracking.open_training(
            work.client,
            work.experiment,
            work.run_id,
            key,
            architecture,
            recipe.flat(),
            run.seed,
            work.stamps,
        )
        work.open_runs.append(run_id)
        how = notes.again(work.stamps, work.plan, [architecture])
        tracking.describe(work.client, run_id, notes.begun(architecture, work.stamps, how), {})
        result = fit(work, work.launcher, step, architecture, recipe, folder, run_id)
    work.trainings[architecture] = Training(architecture, key, folder, run_id, False, result)
    return run_id


def fit(
    work: Session,
    launcher: Launcher,
    step: str,
    architecture: str,
    recipe: Recipe,
    folder: Path,
    run_id: str,
    watch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> TrainingResult:
    """Train in a program of its own, its epochs logged to a run; `watch` is told of each.

    Raises what the program refused, and `ConvoyError` where it left no whole result.
    """
    spec = TrainingSpec(
        architecture=architecture,
        recipe=recipe,
        seed=work.plan.settings.run.seed,
        dataset=work.plan.dataset,
        version=work.version.digest,
        files=work.version.files,
        folder=str(folder),
        deterministic=work.plan.settings.run.deterministic,
        weights=published_weights.of(recipe, work.project),
        devices=environment.devices(),
        reader=environment.reader(),
        compiled=environment.compiled(),
    )
    folder.mkdir(exist_ok=True)
    logged = tracking.epochs_logged(work.client, run_id)
    before = history(folder)
    monitoring = False

    def log(row: dict[str, Any]) -> None:
        nonlocal logged
        if row["epoch"] > logged:
            # First of all: MLflow's compare page draws the metric that was logged first.
            metrics = {"val/accuracy": row["metrics"]["val/accuracy"], **row["metrics"]}
            tracking.log_epoch(work.client, run_id, row["epoch"], metrics)
            logged = row["epoch"]

    def follow(row: dict[str, Any]) -> None:
        nonlocal monitoring
        if row["event"] == "note":
            report(Step(step, "running", row["text"]))
            return
        log(row)
        if not monitoring:  # behind the first epoch, as what the machine does is not to be drawn
            stack.enter_context(monitored(run_id))
            monitoring = True
        watch(row)
        if kept := row.get("kept"):  # from before it was cut off
            if row["epoch"] == kept:
                report(Step(step, "running", f"goes on after epoch {kept}/{row['epochs']}"))
            return
        left = row["seconds"] / row["epoch"] * (row["epochs"] - row["epoch"])
        report(
            Epoch(
                step,
                row["epoch"],
                row["epochs"],
                row["metrics"]["train/loss"],
                row["metrics"]["val/accuracy"],
                left,
            )
        )

    output = folder / "log.txt"
    with ExitStack() as stack:
        found = launcher.run("convoy.training.fit", spec.model_dump(), output, follow)
    for row in history(folder):  # those that a crash kept from MLflow
        log(row)
    result = TrainingResult.model_validate(found)
    if finished(folder) != result:
        raise ConvoyError(f"the training of {architecture} left no whole result in {folder}.")
    work.fit_seconds += result.seconds - (before[-1]["seconds"] if before else 0.0)
    return result


def evaluate(work: Session, architecture: str) -> float:
    """Score one architecture on the test split. Return its accuracy."""
    training = work.trainings[architecture]
    modules = ("convoy.evaluation.program", "convoy.graph")
    key = digests.values(training.key, digests.code(*modules))
    spec = {
        "folder": str(training.folder),
        "record": record_of(work, architecture),
        "files": work.version.files,
        "key": key,
    }
    log = training.folder / "log.txt"
    found = work.launcher.run("convoy.evaluation.program", spec, log, lambda event: None)
    training.evaluated = found
    if training.logged_evaluation != key:
        _log_evaluation(work, training, key)
    accuracy: float = found["metrics"]["test/accuracy"]
    if not training.kept:
        report(Step(f"train {architecture}", "done", f"test accuracy {accuracy:.2%}"))
    return accuracy


def _log_evaluation(work: Session, training: Training, key: str) -> None:
    metrics = {**training.evaluated["metrics"], **figures_of(training.result)}
    tracking.log_metrics(work.client, training.run_id, metrics)
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in history(training.folder):
        for name, value in row["metrics"].items():
            curves.setdefault(name, []).append((row["epoch"], value))
    title = f"{training.architecture} on {work.plan.dataset}"
    found = training.evaluated
    drawing = Drawing(training.folder, dict(found["figures"]), dict(found["missing"]))
    drawing.draw("curves", lambda: curves_figure(curves, title))
    for file in drawing.figures.values():
        tracking.log_file(work.client, training.run_id, training.folder / file, "figures")
    for file in ("predictions.npz", "evaluation.json"):
        tracking.log_file(work.client, training.run_id, training.folder / file)
    if (matrix := training.folder / "figures" / f"{CONFUSION}.png").is_file():
        # Once more, of its epoch: MLflow's charts show the images of several runs side by side.
        keep_image(work.client, training.run_id, matrix, CONFUSION, training.result.best_epoch)
    epochs = training.result.best_epoch, training.result.epochs
    how = notes.again(work.stamps, work.plan, [training.architecture])
    note = notes.training(row_of(training), work.stamps, epochs, how)
    for name, reason in drawing.missing.items():
        note += f"\n\nMissing: {name} ({reason})."
    tags = {**tags_of(training.result), EVALUATION: key}
    tracking.describe(work.client, training.run_id, note, tags)


def figures_of(result: TrainingResult) -> dict[str, float]:
    """Return the metrics that a finished training leaves with its run."""
    return {
        "cost/training_seconds": result.seconds,
        "val/best_epoch": result.best_epoch,
        "val/best_loss": result.val_loss,
        "val/best_accuracy": result.val_accuracy,
    }


def tags_of(result: TrainingResult) -> dict[str, str]:
    """Return the tags that a finished training leaves with its run."""
    return {
        "convoy.weights_sha256": result.weights_sha256,
        "convoy.device": result.device,
        "convoy.precision": result.precision,
        "convoy.compiled": str(result.compiled),
        "convoy.reader": result.reader,
        "convoy.parts": str(result.parts),
        tracking.ENDED: result.ended,
    }


def record_of(work: Session, architecture: str) -> dict[str, Any]:
    """Return what rebuilds the network, beside its weights."""
    recipe, manifest = work.plan.settings.recipe(architecture), work.manifest
    names = ("classes", "channels", "image_size", "mean", "std")
    record = {name: manifest[name] for name in names}
    if recipe.weights:
        from convoy.fine_tuning import normalisation  # brings torch: two seconds

        moments = normalisation(architecture, recipe.weights, record["mean"], record["std"])
        record |= moments._asdict()
    return {"architecture": architecture, **record, "options": recipe.options}


def row_of(training: Training) -> Row:
    """Return the figures of a training that has been evaluated."""
    metrics = training.evaluated["metrics"]
    return Row(
        architecture=training.architecture,
        run_id=training.run_id,
        kept=training.kept,
        val_accuracy=training.result.val_accuracy,
        test_accuracy=metrics["test/accuracy"],
        test_accuracy_low=metrics["test/accuracy_low"],
        test_accuracy_high=metrics["test/accuracy_high"],
        parameters=int(metrics["cost/parameters"]),
        multiply_adds=int(metrics["cost/multiply_adds"]),
        seconds=training.result.seconds,
        microseconds_per_image=metrics["cost/microseconds_per_image"],
    )


def trained(work: Session) -> Trained:
    """Return what came of the trainings."""
    return Trained(
        dataset=work.plan.dataset,
        dataset_version=work.version.hash,
        experiment_id=work.experiment,
        run_id=work.run_id,
        rows=[row_of(training) for training in work.trainings.values()],
        flags=list(work.version.flags),
    )
