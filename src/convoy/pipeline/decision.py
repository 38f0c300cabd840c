"""What a person decides of a version that the gate has allowed, done."""

from typing import Any

from convoy import approval, gate, promotion, registry, store
from convoy.outcome import Outcome
from convoy.plan import Plan
from convoy.promotion import Entry


def asks(plan: Plan, result: Outcome, flow_run: str) -> bool:
    """Tell whether it is this flow run that asks a person about the version."""
    chosen = registry.version(store.connect(plan.project), result.model, result.version)
    said = approval.of(chosen)
    return said is not None and said.asked_by == flow_run


def follow(
    plan: Plan, result: Outcome, approved: bool, reason: str, by: str
) -> tuple[Outcome, Entry | None]:
    """Promote the version that was waiting, or keep that it was declined.

    Returns what came of it, and the promotion if there was one. Raises `GateRefused` where another
    version became champion since the gate compared.
    """
    client = store.connect(plan.project)
    chosen = registry.version(client, result.model, result.version)
    champion = registry.by_alias(client, result.model, registry.CHAMPION)
    serves = champion is not None and champion.version == chosen.version
    entry = None
    if approved and not serves:
        gate.require_permission(chosen, champion)
        registry.verify(chosen, client.tracking_uri)
        seen = champion.version if champion else None
        said = f"{by} approved: {reason}"
        entry = promotion.promote(client, result.model, result.version, said, seen)
        serves = True
    approval.decide(client, chosen, approved, reason, by)
    present = registry.by_alias(client, result.model, registry.CHAMPION)
    changed: dict[str, Any] = {
        "alias": registry.CHAMPION if serves else registry.CHALLENGER,
        "champion": present.version if present else None,
        "waits": False,
        "allowed": serves,
    }
    if not serves:
        changed["reasons"] = [f"{by} declined it: {reason}"]
    return result.model_copy(update=changed), entry
