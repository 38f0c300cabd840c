"""What came of a sweep, and the receipt that lets a finished one be shown at once."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from convoy import architectures, digests, versions
from convoy.files import read_json, write_json
from convoy.outcome import is_stale
from convoy.plan import Plan
from convoy.space import Value


class TrialRow(BaseModel):
    """One trial that has ended."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: dict[str, Value]
    """By the dotted names of the recipe's values."""
    val_accuracy: float | None = None
    """Of the best epoch; of the last where the trial was pruned."""
    val_loss: float | None = None
    epochs: int | None = None
    run_id: str | None = None
    reason: str | None = None
    """Why it failed."""


class SweepOutcome(BaseModel):
    """The whole sweep, as `convoy sweep` shows it and `--json` prints it."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    dataset: str
    dataset_version: str
    experiment_id: str
    run_id: str
    study: str
    by_loss: bool
    rows: list[TrialRow]
    """The best first, those that were pruned and that failed behind them."""
    settings: list[str]
    """What `--set` takes to train as the best trial did; empty where none came to its end."""
    importances: dict[str, float]
    """Each value's share in what made trials better."""
    seconds: float
    flags: list[str] = []
    """Why the dataset version could not be had again elsewhere; empty if all is well."""

    @property
    def best(self) -> TrialRow | None:
        first = self.rows[0] if self.rows else None
        return first if first and first.state == "complete" else None


def study_key(plan: Plan, version: str) -> str:
    """Return the digest of all that decides a sweep but its length: space, data and code.

    `version` is the digest of what a training sees of the dataset version.
    """
    (architecture,) = plan.architectures
    settings, sweep = plan.settings, plan.settings.sweep(architecture)
    return digests.values(
        "sweep",
        digests.code("convoy.training.fit", architectures.module_of(architecture)),
        digests.libraries(),
        architecture,
        settings.recipe(architecture).model_dump(exclude={"weights": {"origin"}}),
        settings.run.model_dump(include={"seed", "deterministic"}),
        sweep.model_dump(exclude={"trials", "parallel"}),
        version,
    )


def override(architecture: str, name: str, value: Value) -> str:
    """Return what `--set` takes to give a recipe's value, as YAML reads it back."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"recipes.{architecture}.{name}={text}"


def run_overrides(plan: Plan) -> list[str]:
    """Return what `--set` changed beside the sweep's own values, which are none of a run's."""
    return [given for given in plan.overrides if not given.startswith("sweeps.")]


def unchanged(plan: Plan) -> SweepOutcome | None:
    """Return the outcome of a sweep that has ended if nothing that decides it has changed."""
    receipt = read_json(_path(plan))
    versions.settle(plan.project)
    if not isinstance(receipt, dict) or receipt.get("key") != _key(plan):
        return None
    files = [list(entry) for entry in versions.fingerprint(plan.project, plan.dataset)]
    if receipt["files"] != files or is_stale(plan):
        return None
    outcome = SweepOutcome.model_validate(receipt["outcome"])
    if set(outcome.flags) - {versions.UNCOMMITTED}:
        return None
    flags = versions.uncommitted(plan.project, plan.dataset)
    return outcome.model_copy(update={"flags": flags})


def keep(plan: Plan, outcome: SweepOutcome) -> None:
    """Remember a sweep that has ended."""
    files = versions.fingerprint(plan.project, plan.dataset)
    receipt = {"key": _key(plan), "files": files, "outcome": outcome.model_dump()}
    _path(plan).parent.mkdir(parents=True, exist_ok=True)
    write_json(_path(plan), receipt)


def _key(plan: Plan) -> str:
    (architecture,) = plan.architectures
    return digests.values(
        study_key(plan, ""),
        digests.code("convoy.ingestion.__main__"),
        plan.settings.sweep(architecture).trials,
        plan.dataset,
        plan.data.model_dump(),
        plan.settings.checks.model_dump(),
        run_overrides(plan),
        versions.recorded(plan.project, plan.dataset),
    )


def _path(plan: Plan) -> Path:
    (architecture,) = plan.architectures
    return plan.project.state / "receipts" / "sweeps" / f"{plan.dataset}-{architecture}.json"
