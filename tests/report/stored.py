"""A pipeline run as MLflow has it, written through Convoy's own doors."""

from pathlib import Path

from mlflow import MlflowClient

from convoy import store, tracking
from convoy.files import write_json
from convoy.kept import keep_json
from convoy.project import Project
from convoy.report.record import FILE, contents
from tests.report.records import SKILLS, a_report, data, network, png

STAMPS = tracking.Stamps("c0ffee", False, "signs", "ab" * 16, "d16e57" * 6, "a flow run")


def keep_run(project: Project, client: MlflowClient, scratch: Path) -> tuple[str, dict[str, str]]:
    """Keep a pipeline run; return its id and those of its trainings by architecture."""
    experiment = store.experiment(client, project, "signs")
    parent = tracking.open_pipeline(client, experiment, "pipeline", STAMPS)
    trainings = {}
    for seed, (name, skill) in enumerate(SKILLS.items(), start=1):
        one = network(name, skill, seed)
        run = tracking.open_training(client, experiment, parent, name, name, {}, 1, STAMPS)
        for step in range(6):
            values = {key: dict(curve).get(step) for key, curve in one.curves.items()}
            known = {key: value for key, value in values.items() if value is not None}
            tracking.log_epoch(client, run, step, known)
        tracking.log_metrics(client, run, one.metrics)
        assert one.predictions and one.evaluation
        one.predictions.save(scratch / "predictions.npz")
        kept = {"evaluation": one.evaluation.to_json(), "missing": {"coverage": "too few images"}}
        write_json(scratch / "evaluation.json", kept)
        (scratch / "worst_mistakes.png").write_bytes(png())
        for file, folder in (
            ("predictions.npz", ""),
            ("evaluation.json", ""),
            ("worst_mistakes.png", "figures"),
        ):
            tracking.log_file(client, run, scratch / file, folder)
        tracking.close(client, run)
        trainings[name] = run
    outcome = a_report().outcome
    keep_json(client, parent, contents(outcome, data(), [], trainings["resnet20"]), FILE)
    tags = {tracking.TRAININGS: ",".join(trainings.values())}
    tracking.describe(client, parent, "what it is", tags)
    tracking.close(client, parent)
    return parent, trainings
