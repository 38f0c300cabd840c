"""The tasks at the end: register the best, let the gate judge it, do what the gate said."""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convoy import approval, digests, gate, notes, promotion, registry, shards, tracking
from convoy.client import Forbidden
from convoy.errors import ConvoyError
from convoy.evaluation.evidence import Evidence
from convoy.files import write_json
from convoy.gate import Verdict
from convoy.model_card import FILE as CARD
from convoy.outcome import Outcome
from convoy.pipeline.reporting import card_of, keep_report
from convoy.pipeline.session import Session, Training
from convoy.pipeline.training import record_of, row_of, trained
from convoy.progress import Step, report


@dataclass(frozen=True)
class Registration:
    """A registered version and the champion, scored side by side on the same test images."""

    version: str
    champion: str | None
    """The champion's version; the version itself where it serves already."""
    evidence: dict[str, Any] | None
    """What the gate judges by (`Evidence`); None where the version serves already."""


def best(work: Session) -> Training:
    """Return the training with the best validation accuracy, the lower loss where they tie."""
    return max(work.trainings.values(), key=lambda t: (t.result.val_accuracy, -t.result.val_loss))


def register(work: Session) -> Registration:
    """Register the best network on validation; score it and the champion side by side."""
    chosen = best(work)
    report(Step("register", "running", chosen.architecture))
    card = chosen.folder / CARD
    card.write_text(card_of(work, chosen), encoding="utf-8")
    spec = {
        "name": work.plan.data.model,
        "key": digests.values(chosen.key, chosen.result.weights_sha256),
        "run_id": chosen.run_id,
        "folder": str(chosen.folder),
        "record": record_of(work, chosen.architecture),
        "files": work.version.files,
        "tracking_uri": os.environ["MLFLOW_TRACKING_URI"],
        "alpha": work.plan.settings.gate.alpha,
        "onnx": work.plan.settings.registry.onnx,
        "metadata": _metadata(work, chosen),
        "tags": {
            "convoy.architecture": chosen.architecture,
            "convoy.commit": work.stamps.commit,
            "convoy.dirty": str(work.stamps.dirty).lower(),
            "convoy.dataset": work.plan.dataset,
            "convoy.dataset_version": work.version.hash,
            "convoy.dataset_digest": work.version.digest,
            "convoy.flow_run": work.flow_run,
            "convoy.test_accuracy": str(row_of(chosen).test_accuracy),
        },
        "extra_files": [str(card)],
    }
    output = chosen.folder / "log.txt"
    found = work.launcher.run("convoy.registration", spec, output, lambda event: None)
    name = work.plan.data.model
    registry.describe(work.client, name, found["version"], card.read_text(encoding="utf-8"))
    report(Step("register", "done", f"{work.plan.data.model} version {found['version']}"))
    return Registration(**found)


def _metadata(work: Session, chosen: Training) -> dict[str, Any]:
    """Return what the version says of itself beside its tags: recipe, seed, metrics."""
    metrics = chosen.evaluated["metrics"]
    per_class = tuple(f"test/{name}/" for name in ("precision", "recall", "f1"))
    return {
        "recipe": work.plan.settings.recipe(chosen.architecture).model_dump(mode="json"),
        "seed": work.plan.settings.run.seed,
        "metrics": {k: v for k, v in metrics.items() if not k.startswith(per_class)},
    }


def judge(work: Session, registered: Registration) -> Verdict:
    """Let the gate say whether the registered version may serve."""
    report(Step("gate", "running"))
    if registered.evidence is None:
        return Verdict(True, [f"version {registered.version} is the champion already"])
    verdict = gate.judge(work.plan.settings.gate, Evidence.from_json(registered.evidence))
    name = work.plan.data.model
    if entry := promotion.rolled_back(work.client, name, registered.version):
        reason = f"version {registered.version} was rolled back on {entry.at} by {entry.by}"
        return gate.overruled(verdict, f"{reason}: only a person may promote it again")
    if said := approval.declined(registry.version(work.client, name, registered.version)):
        reason = f"{said.by} declined version {registered.version} on {said.at} ({said.reason})"
        return gate.overruled(verdict, f"{reason}: only a person may promote it")
    return verdict


def settle_verdict(work: Session, registered: Registration, verdict: Verdict) -> str:
    """Do what the gate said. Return the version's alias.

    Where `gate.require_approval` is set, what it allowed waits as challenger for a person, and so
    it does where MLflow's server lets this user move no alias; the alias is "" then.
    Raises `ConvoyError` where somebody made another version champion since: the gate has not
    compared with that one.
    """
    name, number = work.plan.data.model, registered.version
    champion = registry.by_alias(work.client, name, registry.CHAMPION)
    present = champion.version if champion else None
    if present not in (registered.champion, number):
        raise ConvoyError(
            f"version {present} became champion while version {number} was compared with version "
            f"{registered.champion}: run again to compare it with that one."
        )
    refused = registry.CHALLENGER
    if present != number:
        _keep(work, number, verdict)
        if verdict.allowed and work.plan.settings.gate.require_approval:
            approval.ask(work.client, registry.version(work.client, name, number), work.flow_run)
            report(Step("gate", "done", f"allowed, and waits for a person: {verdict.sentence}"))
            return promotion.keep_challenger(work.client, name, number)
        if verdict.allowed:
            reason = f"the gate allowed it: {'; '.join(verdict.reasons)}"
            try:
                promotion.promote(work.client, name, number, reason, registered.champion)
            except Forbidden:
                return _leave_to_a_promoter(work, number, verdict)
        else:
            refused = promotion.keep_challenger(work.client, name, number)
    else:
        promotion.settle(work.client, name)  # a retry may find its own move half recorded
    word = "allowed" if verdict.allowed else "refused"
    report(Step("gate", "done", f"{word}: {verdict.sentence or '; '.join(verdict.reasons)}"))
    return registry.CHAMPION if verdict.allowed else refused


def _leave_to_a_promoter(work: Session, number: str, verdict: Verdict) -> str:
    """Have a version wait that the gate allowed and this run's user may not promote.

    Nobody is asked by the flow run: it could not do what it would be told.
    """
    name = work.plan.data.model
    approval.ask(work.client, registry.version(work.client, name, number), "")
    said = "allowed, and waits for a promoter, as MLflow lets this user move no alias"
    report(Step("gate", "done", f"{said}: {verdict.sentence}"))
    return promotion.keep_challenger(work.client, name, number)


def _keep(work: Session, number: str, verdict: Verdict) -> None:
    """Keep the verdict with the version, and with the pipeline's run."""
    gate.keep_verdict(work.client, work.plan.data.model, number, verdict)
    if work.run_id:
        file = work.project.scratch / "verdict.json"
        write_json(file, {"version": number, **asdict(verdict)})
        tracking.log_file(work.client, work.run_id, file)


def finish(work: Session, registered: Registration, verdict: Verdict, alias: str) -> Outcome:
    """Close the pipeline's run and say what came of it."""
    champion = registry.by_alias(work.client, work.plan.data.model, registry.CHAMPION)
    outcome = Outcome(
        **dict(trained(work)),
        model=work.plan.data.model,
        version=registered.version,
        alias=alias,
        champion=champion.version if champion else None,
        allowed=verdict.allowed,
        reasons=verdict.reasons,
        sentence=verdict.sentence,
        waits=verdict.allowed and alias != registry.CHAMPION,
        seconds=time.monotonic() - work.began,
        fit_seconds=work.fit_seconds,
        samples=str(_write_samples(work)),
    )
    chosen = row_of(best(work))
    metrics = {
        "test/accuracy": chosen.test_accuracy,
        "val/best_accuracy": chosen.val_accuracy,
        "cost/seconds": outcome.seconds,
        "cost/overhead_seconds": outcome.seconds - outcome.fit_seconds,
    }
    tracking.log_metrics(work.client, work.run_id, metrics)
    how = notes.again(work.stamps, work.plan, list(work.trainings))
    note = notes.pipeline(outcome, chosen.architecture, how)
    tags = {
        tracking.TRAININGS: ",".join(row.run_id for row in outcome.rows),
        "convoy.verdict": "allowed" if outcome.allowed else "refused",
    }
    tracking.describe(work.client, work.run_id, note, tags)
    work.close(work.run_id)
    keep_report(work, outcome, best(work))
    return outcome


def _write_samples(work: Session) -> Path:
    """Write one test image of each class as a file, for people to try predictions on."""
    folder = work.project.state / "samples" / work.plan.dataset
    folder.mkdir(parents=True, exist_ok=True)
    where = shards.places(work.version.files)
    first: dict[str, int] = {}
    for one in where.of("test"):
        first.setdefault(where.stored[one].label, int(one))
    shown = [place for place, label in enumerate(work.manifest["classes"]) if label in first]
    chosen = np.array([first[work.manifest["classes"][place]] for place in shown])
    images = shards.gather(work.version.files, where, chosen)
    for place, pixels in zip(shown, images, strict=True):
        inks = work.manifest["channels"] == "cmyk"
        picture = Image.fromarray(pixels, "CMYK") if inks else Image.fromarray(pixels.squeeze())
        # Named by its place among the classes: a class name need not be a file name.
        picture.save(folder / f"{place:03d}.{'tiff' if inks else 'png'}")
    return folder.relative_to(work.project.root)
