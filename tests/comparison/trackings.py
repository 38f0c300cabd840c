"""Finished trainings in a real MLflow store, with predictions that were never a network's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from convoy import digests, registry, tracking
from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import FILE, Predictions, Scored
from convoy.plan import Plan

CLASSES = ("cat", "dog", "emu")


def stamps(version: str = "a", commit: str = "c0ffee") -> tracking.Stamps:
    return tracking.Stamps(
        commit, False, "digits", version * 32 + ".dir", version * 64, flow_run="a flow run"
    )


def scored(
    wrong: Sequence[int], images: int = 400, first: int = 0, classes: Sequence[str] = CLASSES
) -> Scored:
    """Predictions that are right but for these images; `first` says which images there are."""
    labels = np.arange(images) % len(classes)
    answers = labels.copy()
    answers[list(wrong)] = (labels[list(wrong)] + 1) % len(classes)
    shares = np.full((images, len(classes)), 0.1 / (len(classes) - 1), np.float32)
    shares[np.arange(images), answers] = 0.9
    contents = np.array([f"{number:064x}" for number in range(first, first + images)])
    return Scored(shares, labels, contents, tuple(classes))


@dataclass(frozen=True)
class Tracking:
    """A project's plan, and its store."""

    plan: Plan
    client: MlflowClient
    experiment: str
    folder: Path

    def pipeline(self) -> str:
        return tracking.open_pipeline(self.client, self.experiment, "pipeline of today", stamps())

    def training(
        self,
        architecture: str,
        test: Scored | None,
        parent: str = "parent",
        seed: int = 1,
        recipe: Mapping[str, object] | None = None,
        costs: Mapping[str, float] | None = None,
        status: str = "FINISHED",
        version: str = "a",
        commit: str = "c0ffee",
    ) -> str:
        """A training with its figures and predictions as the pipeline leaves them; its run id."""
        values = {"epochs": 2, **(recipe or {})}
        key = digests.values(architecture, seed, values, version, commit)
        run_id = tracking.open_training(
            self.client,
            self.experiment,
            parent,
            key,
            architecture,
            values,
            seed,
            stamps(version, commit),
        )
        if test is not None:
            found = evaluate(test.probabilities, test.labels, test.classes)
            figures = {f"cost/{name}": value for name, value in (costs or {}).items()}
            tracking.log_metrics(self.client, run_id, {**found.metrics("test"), **figures})
            self.keep(run_id, test)
        if status != "RUNNING":
            tracking.close(self.client, run_id, status)
        return run_id

    def keep(self, run_id: str, test: Scored) -> None:
        """Log predictions, the file of a pipeline run."""
        val = scored([], 3, first=10**6, classes=test.classes)
        Predictions(test, val).save(self.folder / FILE)
        tracking.log_file(self.client, run_id, self.folder / FILE)

    def end(self, parent: str, trainings: Sequence[str]) -> None:
        """End a pipeline run whose trainings are these."""
        tags = {tracking.TRAININGS: ",".join(trainings)}
        tracking.describe(self.client, parent, "a note", tags)
        tracking.close(self.client, parent)

    def serve(self, run_id: str) -> None:
        """Make a run's network the champion of `digits`."""
        if "digits" not in registry.names(self.client):
            self.client.create_registered_model("digits")
        made = self.client.create_model_version("digits", "file:///nowhere", run_id)
        self.client.set_registered_model_alias("digits", registry.CHAMPION, made.version)

    def artifact(self, run_id: str) -> Path:
        place = self.client.get_run(run_id).info.artifact_uri.removeprefix("file://")
        return Path(place) / FILE
