"""A person's word on a version that the gate has allowed: asked for, given, kept with the version.

Where `gate.require_approval` is set, such a version waits as challenger. `convoy promote` decides,
or the form of the suspended flow run in Prefect's UI (`flows/approval.py`).
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from mlflow import MlflowClient

from convoy.owners import person
from convoy.registry import APPROVAL, Registered


@dataclass(frozen=True)
class Approval:
    """Who said what, when and why; of one that is waited for only when it was asked for."""

    state: Literal["waiting", "approved", "declined"]
    at: str
    """UTC, ISO 8601."""
    by: str = ""
    reason: str = ""
    asked_by: str = ""
    """The flow run that asked."""


def ask(client: MlflowClient, chosen: Registered, flow_run: str) -> None:
    """Have a version wait for a person, unless it waits already."""
    said = of(chosen)
    if said is None or said.state != "waiting":
        _keep(client, chosen, Approval("waiting", _now(), asked_by=flow_run))


def decide(
    client: MlflowClient, chosen: Registered, approved: bool, reason: str, by: str = ""
) -> Approval:
    """Keep what a person decided of a version. It moves no alias."""
    state: Literal["approved", "declined"] = "approved" if approved else "declined"
    said = Approval(state, _now(), by or person(), reason)
    _keep(client, chosen, said)
    return said


def of(chosen: Registered) -> Approval | None:
    """Return what was asked or said of a version, if anything was."""
    found = chosen.tags.get(APPROVAL)
    return Approval(**json.loads(found)) if found else None


def declined(chosen: Registered) -> Approval | None:
    """Return a person's no to a version, if that was the last word."""
    said = of(chosen)
    return said if said and said.state == "declined" else None


def _keep(client: MlflowClient, chosen: Registered, said: Approval) -> None:
    told = json.dumps(asdict(said))
    client.set_model_version_tag(chosen.name, chosen.version, APPROVAL, told)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
