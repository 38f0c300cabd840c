"""What each task of the pipeline does; the flow adds order, retries and schedules.

Nothing here imports torch: training, evaluation and registration are programs of their own.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from convoy import digests, promotion, registry, tracking, versions
from convoy.errors import ConvoyError
from convoy.evaluation.figures import confusion_figure, curves_figure
from convoy.evaluation.metrics import Evaluation
from convoy.evaluation.significance import mcnemar
from convoy.outcome import Outcome, Row
from convoy.plan import Plan
from convoy.programs.launcher import start_launcher, warm
from convoy.progress import Epoch, Planned, Step, report
from convoy.promotion import Verdict
from convoy.settings import Recipe
from convoy.training.spec import TrainingResult, TrainingSpec, finished, history, training_key


@dataclass
class Training:
    """An architecture on its way through the pipeline."""

    architecture: str
    key: str
    folder: Path
    run_id: str
    kept: bool
    result: TrainingResult
    evaluation: Evaluation | None = None
    cost: dict[str, Any] | None = None


class Pipeline:
    """One run of the pipeline on one project; a second one at the same time is refused."""

    def __init__(self, plan: Plan, flow_run: str) -> None:
        self.plan = plan
        self.project = plan.project
        self.flow_run = flow_run
        self.fit_seconds = 0.0
        self.trainings: dict[str, Training] = {}
        self._open_runs: list[str] = []
        self._resources = ExitStack()

    def __enter__(self) -> "Pipeline":
        self.project.create_state()
        with ExitStack() as opened:
            opened.enter_context(_alone(self.project.state))
            self.launcher = warm.get() or opened.enter_context(start_launcher(self.project))
            self.began = self.launcher.began
            self.client = tracking.connect(self.project)
            self.experiment = tracking.experiment(self.client, self.project, self.plan.dataset)
            tracking.settle(self.client, self.experiment)
            if self.plan.data.model in registry.names(self.client):
                promotion.settle(self.client, self.plan.data.model)
            self._resources = opened.pop_all()
        trained = [f"train {name}" for name in self.plan.architectures]
        report(Planned(("ingest", *trained, "register", "gate")))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None:
                status = "FAILED" if issubclass(kind, Exception) else "KILLED"
                for run_id in self._open_runs:
                    tracking.close(self.client, run_id, status)
        finally:
            self._resources.close()

    def ingest(self) -> str:
        """Bring the dataset up to date; open the pipeline's run. Return the dataset version."""
        report(Step("ingest", "running"))
        self.version = versions.ingest(self.project, self.plan.dataset)
        self.manifest = self.version.manifest
        commit, dirty = self.project.commit()
        self.stamps = tracking.Stamps(
            commit, dirty, self.plan.dataset, self.version.hash, self.flow_run
        )
        name = time.strftime("pipeline %Y-%m-%d %H:%M:%S")
        self.run_id = tracking.open_pipeline(self.client, self.experiment, name, self.stamps)
        self._open_runs.append(self.run_id)
        counts = {split: sum(found.values()) for split, found in self.manifest["counts"].items()}
        report(Step("ingest", "done", ", ".join(f"{v:,} {k}" for k, v in counts.items())))
        return self.version.hash

    def train(self, architecture: str) -> str:
        """Train one architecture, or keep what is there. Return its run id."""
        step = f"train {architecture}"
        recipe, seed = self.plan.settings.recipe(architecture), self.plan.settings.run.seed
        key = training_key(architecture, recipe, seed, self.version.hash)
        folder = self.project.runs / key[:32]
        found = tracking.find(self.client, self.experiment, key)
        result = finished(folder)
        if found is not None and result is not None and tracking.is_finished(found):
            run_id = str(found.info.run_id)
            kept = Training(architecture, key, folder, run_id, True, result)
            self.trainings[architecture] = kept
            report(Step(step, "kept"))
            return run_id
        report(Step(step, "running"))
        run_id = tracking.open_training(
            self.client,
            self.experiment,
            self.run_id,
            key,
            architecture,
            recipe.model_dump(),
            seed,
            self.stamps,
        )
        self._open_runs.append(run_id)
        result = self._fit(architecture, recipe, folder, run_id)
        self.trainings[architecture] = Training(architecture, key, folder, run_id, False, result)
        return run_id

    def _fit(self, architecture: str, recipe: Recipe, folder: Path, run_id: str) -> TrainingResult:
        spec = TrainingSpec(
            architecture=architecture,
            recipe=recipe,
            seed=self.plan.settings.run.seed,
            dataset=self.plan.dataset,
            version=self.version.hash,
            files=self.version.files,
            folder=str(folder),
        )
        folder.mkdir(exist_ok=True)
        logged = tracking.epochs_logged(self.client, run_id)

        def follow(row: dict[str, Any]) -> None:
            if row["epoch"] > logged:
                tracking.log_epoch(self.client, run_id, row["epoch"], row["metrics"])
            left = row["seconds"] / row["epoch"] * (row["epochs"] - row["epoch"])
            report(
                Epoch(
                    f"train {architecture}",
                    row["epoch"],
                    row["epochs"],
                    row["metrics"]["train/loss"],
                    row["metrics"]["val/accuracy"],
                    left,
                )
            )

        log = folder / "log.txt"
        found = self.launcher.run("convoy.training.fit", spec.model_dump(), log, follow)
        result = TrainingResult.model_validate(found)
        if finished(folder) != result:
            raise ConvoyError(f"the training of {architecture} left no whole result in {folder}.")
        self.fit_seconds += result.seconds
        return result

    def evaluate(self, architecture: str) -> float:
        """Score one architecture on the test split. Return its accuracy."""
        training = self.trainings[architecture]
        modules = ("convoy.evaluation.program", "convoy.graph")
        spec = {
            "folder": str(training.folder),
            "record": self._record(architecture),
            "files": self.version.files,
            "key": digests.values(training.key, digests.code(*modules)),
        }
        log = training.folder / "log.txt"
        cost = self.launcher.run("convoy.evaluation.program", spec, log, lambda event: None)
        training.cost = cost
        training.evaluation = Evaluation.from_json(cost["evaluation"])
        if not training.kept:
            self._log_evaluation(training)
            accuracy = training.evaluation.accuracy
            report(Step(f"train {architecture}", "done", f"test accuracy {accuracy:.2%}"))
        return training.evaluation.accuracy

    def _log_evaluation(self, training: Training) -> None:
        assert training.evaluation is not None and training.cost is not None
        cost = {
            "cost/parameters": training.cost["parameters"],
            "cost/multiply_adds": training.cost["multiply_adds"],
            "cost/microseconds_per_image": training.cost["microseconds_per_image"],
            "cost/training_seconds": training.result.seconds,
            "best/epoch": training.result.best_epoch,
            "best/val_loss": training.result.val_loss,
            "best/val_accuracy": training.result.val_accuracy,
        }
        metrics = {**training.evaluation.metrics("test"), **cost}
        tracking.log_metrics(self.client, training.run_id, metrics)
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in history(training.folder):
            for name, value in row["metrics"].items():
                curves.setdefault(name, []).append((row["epoch"], value))
        figures = {
            "confusion_matrix": confusion_figure(training.evaluation),
            "curves": curves_figure(curves, f"{training.architecture} on {self.plan.dataset}"),
        }
        tracking.log_figures(self.client, training.run_id, figures)
        tracking.log_file(self.client, training.run_id, training.folder / "predictions.npz")
        shown = self._row(training)
        note = (
            f"**{training.architecture}** on `{self.plan.dataset}` version "
            f"`{self.version.hash}`: test accuracy {shown.test_accuracy:.2%} "
            f"({shown.test_accuracy_low:.2%} to {shown.test_accuracy_high:.2%}), best epoch "
            f"{training.result.best_epoch} of {training.result.epochs}.\n\nAgain: check out "
            f"`{self.stamps.commit}`, then `convoy run --dataset {self.plan.dataset} "
            f"--architectures {training.architecture}`."
        )
        tags = {"convoy.weights_sha256": training.result.weights_sha256}
        tracking.describe(self.client, training.run_id, note, tags)
        tracking.close(self.client, training.run_id)
        self._open_runs.remove(training.run_id)

    def _record(self, architecture: str) -> dict[str, Any]:
        names = ("classes", "channels", "image_size", "mean", "std")
        return {"architecture": architecture, **{name: self.manifest[name] for name in names}}

    def register(self) -> dict[str, Any]:
        """Register the best network on validation; score it and the champion side by side."""
        self.best = max(
            self.trainings.values(), key=lambda t: (t.result.val_accuracy, -t.result.val_loss)
        )
        report(Step("register", "running", self.best.architecture))
        spec = {
            "name": self.plan.data.model,
            "key": digests.values(self.best.key, self.best.result.weights_sha256),
            "run_id": self.best.run_id,
            "folder": str(self.best.folder),
            "record": self._record(self.best.architecture),
            "files": self.version.files,
            "tracking_uri": os.environ["MLFLOW_TRACKING_URI"],
            "tags": {
                "convoy.architecture": self.best.architecture,
                "convoy.commit": self.stamps.commit,
                "convoy.dirty": str(self.stamps.dirty).lower(),
                "convoy.dataset": self.plan.dataset,
                "convoy.dataset_version": self.version.hash,
                "convoy.flow_run": self.flow_run,
                "convoy.test_accuracy": str(self._row(self.best).test_accuracy),
            },
        }
        log = self.best.folder / "log.txt"
        self.registered = self.launcher.run("convoy.registration", spec, log, lambda event: None)
        number = self.registered["version"]
        report(Step("register", "done", f"{self.plan.data.model} version {number}"))
        return {"version": number, "champion": self.registered["champion"]}

    def judge(self) -> Verdict:
        """Let the gate say whether the registered version may serve."""
        report(Step("gate", "running"))
        number, champion = self.registered["version"], self.registered["champion"]
        if champion == number:
            self.verdict = Verdict(True, [f"version {number} is the champion already"])
            return self.verdict
        paired = None
        if champion is not None:
            paired = mcnemar(
                np.array(self.registered["challenger_correct"]),
                np.array(self.registered["champion_correct"]),
            )
        accuracy = self.registered["accuracy"]
        self.verdict = promotion.judge(self.plan.settings.gate, accuracy, champion, paired)
        return self.verdict

    def settle_verdict(self) -> str:
        """Do what the gate said. Return the version's alias."""
        name, number = self.plan.data.model, self.registered["version"]
        if self.registered["champion"] != number:
            promotion.keep_verdict(self.client, name, number, self.verdict)
            if self.verdict.allowed:
                reason = f"the gate allowed it: {'; '.join(self.verdict.reasons)}"
                promotion.promote(self.client, name, number, reason)
            else:
                promotion.keep_challenger(self.client, name, number)
        self.alias = registry.CHAMPION if self.verdict.allowed else registry.CHALLENGER
        word = "promoted" if self.verdict.allowed else "refused"
        report(Step("gate", "done", f"{word}: {'; '.join(self.verdict.reasons)}"))
        return self.alias

    def finish(self) -> Outcome:
        """Close the pipeline's run and say what came of it."""
        champion = registry.by_alias(self.client, self.plan.data.model, registry.CHAMPION)
        outcome = Outcome(
            dataset=self.plan.dataset,
            dataset_version=self.version.hash,
            experiment_id=self.experiment,
            run_id=self.run_id,
            rows=[self._row(training) for training in self.trainings.values()],
            model=self.plan.data.model,
            version=self.registered["version"],
            alias=self.alias,
            champion=champion.version if champion else None,
            allowed=self.verdict.allowed,
            reasons=self.verdict.reasons,
            seconds=time.monotonic() - self.began,
            fit_seconds=self.fit_seconds,
            samples=str(self._samples()),
        )
        row = self._row(self.best)
        metrics = {
            "test/accuracy": row.test_accuracy,
            "best/val_accuracy": row.val_accuracy,
            "cost/seconds": outcome.seconds,
            "cost/overhead_seconds": outcome.seconds - outcome.fit_seconds,
        }
        tracking.log_metrics(self.client, self.run_id, metrics)
        note = (
            f"Best on validation: **{self.best.architecture}**, registered as "
            f"`{outcome.model}` version {outcome.version} ({outcome.alias}).\n\n"
            + "\n".join(f"- {reason}" for reason in outcome.reasons)
        )
        tags = {
            tracking.TRAININGS: ",".join(row.run_id for row in outcome.rows),
            "convoy.verdict": "allowed" if outcome.allowed else "refused",
        }
        tracking.describe(self.client, self.run_id, note, tags)
        tracking.close(self.client, self.run_id)
        self._open_runs.remove(self.run_id)
        return outcome

    def _row(self, training: Training) -> Row:
        assert training.evaluation is not None and training.cost is not None
        return Row(
            architecture=training.architecture,
            run_id=training.run_id,
            kept=training.kept,
            val_accuracy=training.result.val_accuracy,
            test_accuracy=training.evaluation.accuracy,
            test_accuracy_low=training.evaluation.accuracy_low,
            test_accuracy_high=training.evaluation.accuracy_high,
            parameters=training.cost["parameters"],
            multiply_adds=training.cost["multiply_adds"],
            seconds=training.result.seconds,
            microseconds_per_image=training.cost["microseconds_per_image"],
        )

    def _samples(self) -> Path:
        """Write one test image of each class as a file, for people to try predictions on."""
        folder = self.project.state / "samples" / self.plan.dataset
        folder.mkdir(parents=True, exist_ok=True)
        images = np.load(self.version.files["test-images.npy"], mmap_mode="r")
        labels = np.load(self.version.files["test-labels.npy"])
        for place, name in enumerate(self.manifest["classes"]):
            pixels = np.array(images[int(np.argmax(labels == place))])
            Image.fromarray(pixels.squeeze()).save(folder / f"{place:03d}.png")
            # Named by place, since a class name need not be a file name.
            del name
        return folder.relative_to(self.project.root)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    lock = FileLock(state / "run.lock")
    owner = state / "run.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = owner.read_text() if owner.is_file() else "unknown"
        raise ConvoyError(
            f"another run is at work in this project (process {pid}): wait for it to end."
        ) from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
