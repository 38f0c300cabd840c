"""What came of a pipeline run, and the receipt that lets an unchanged one be skipped."""

import sqlite3
from typing import Any

from pydantic import BaseModel, ConfigDict

from convoy import architectures, digests, versions
from convoy.errors import ConvoyError
from convoy.files import read_json, write_json
from convoy.ingestion import fetch
from convoy.plan import Plan


class Row(BaseModel):
    """One trained architecture."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    run_id: str
    kept: bool
    """True where nothing that decides it had changed, so that it was not trained again."""
    val_accuracy: float
    test_accuracy: float
    test_accuracy_low: float
    test_accuracy_high: float
    parameters: int
    multiply_adds: int
    seconds: float
    microseconds_per_image: float


class Trained(BaseModel):
    """What `convoy train` shows and `--json` prints."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    dataset_version: str
    experiment_id: str
    run_id: str
    rows: list[Row]
    flags: list[str] = []
    """Why the dataset version could not be had again elsewhere; empty if all is well."""


class Outcome(Trained):
    """The whole run, as `convoy run` shows it and `--json` prints it."""

    model: str
    version: str
    alias: str
    """Empty where this run's user may move none."""
    champion: str | None
    """The champion's version when the run had ended."""
    allowed: bool
    reasons: list[str]
    sentence: str = ""
    """The verdict in plain words."""
    waits: bool = False
    """Whether a person has to decide on what the gate allowed: because of `gate.require_approval`,
    or because this run's user may move no alias."""
    seconds: float
    fit_seconds: float
    """Of `seconds`, those inside the fits of this run."""
    samples: str
    """A folder with some test images as files, to try predictions on."""


def run_key(plan: Plan) -> str:
    """Return the digest of all that decides a run: code, settings and recorded data."""
    settings = plan.settings
    modules = ("flows.pipeline", *(architectures.module_of(name) for name in plan.architectures))
    programs = (
        "convoy.training.fit",
        "convoy.evaluation.program",
        "convoy.evaluation.inspection",
        "convoy.registration",
    )
    return digests.values(
        digests.code(*modules, *programs, "convoy.ingestion.__main__"),
        digests.libraries(),
        plan.dataset,
        plan.data.model_dump(),
        settings.run.model_dump(include={"seed", "deterministic"}),
        {name: settings.recipe(name).model_dump() for name in plan.architectures},
        settings.evaluation.model_dump(),
        settings.gate.model_dump(),
        settings.registry.model_dump(),
        settings.checks.model_dump(),
        versions.recorded(plan.project, plan.dataset),
    )


def unchanged(plan: Plan) -> Outcome | None:
    """Return the outcome of the last run if this one would do nothing that it did not do.

    Heavy libraries stay out of it: the keys are compared, the times of the dataset's files, and
    where the champion is.
    """
    receipt = read_json(_path(plan))
    versions.settle(plan.project)
    if not isinstance(receipt, dict) or receipt.get("key") != run_key(plan):
        return None
    files = [list(entry) for entry in versions.fingerprint(plan.project, plan.dataset)]
    if receipt["files"] != files:
        return None
    outcome = Outcome.model_validate(receipt["outcome"])
    champion = _champion(plan)
    if champion is None or set(outcome.flags) - {versions.UNCOMMITTED} or is_stale(plan):
        return None
    flags = versions.uncommitted(plan.project, plan.dataset)
    if flags and plan.strict:
        return None
    waits = outcome.waits and champion != outcome.version
    return outcome.model_copy(update={"champion": champion, "flags": flags, "waits": waits})


def is_stale(plan: Plan) -> bool:
    """Tell whether something new is where the images come from; so it is if nobody answers."""
    if plan.data.version:
        return False
    try:
        origins = plan.project.origins(plan.data.origins)
        return fetch.is_stale(plan.data, origins, plan.project.memory(plan.dataset))
    except ConvoyError:
        return True


def keep(plan: Plan, outcome: Outcome) -> None:
    """Remember a run that has ended."""
    files = versions.fingerprint(plan.project, plan.dataset)
    receipt = {"key": run_key(plan), "files": files, "outcome": outcome.model_dump()}
    _path(plan).parent.mkdir(exist_ok=True)
    write_json(_path(plan), receipt)


def _path(plan: Plan) -> Any:
    return plan.project.state / "receipts" / f"{plan.dataset}.json"


def _champion(plan: Plan) -> str | None:
    """Return the champion's version as the embedded registry has it; None sends the run on.

    Asking MLflow would take two seconds of imports; a database that answers otherwise than
    expected, or a team's server, is asked by the run itself.
    """
    query = "select version from registered_model_aliases where name = ? and alias = 'champion'"
    try:
        with sqlite3.connect(f"file:{plan.project.database}?mode=ro", uri=True) as database:
            found = database.execute(query, (plan.data.model,)).fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if found else None
