"""The gate: what a version must show before it serves, against the champion on the same images.

`docs/adr/0025-the-gate.md` says why it asks for what it asks. A verdict holds every number that it
follows from, and one sentence for people.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlflow import MlflowClient

from convoy.errors import GateRefused
from convoy.evaluation.evidence import Comparison, Evidence, Scores
from convoy.registry import VERDICT, Registered
from convoy.requirements import Gate

LONGEST_TAG = 100_000
"""Characters that MLflow takes in a tag of a version."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a version, with its reasons."""

    allowed: bool
    reasons: list[str]
    """All that was asked and met; of a version that was refused, what was not met."""
    sentence: str = ""
    """The same in plain words."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """The evidence, and the settings that it was held against."""


@dataclass(frozen=True)
class Check:
    """One thing that is asked of a version."""

    passed: bool
    said: str


def judge(gate: Gate, evidence: Evidence) -> Verdict:
    """Hold the evidence against the settings; the first version has nobody to beat."""
    against = evidence.against
    checks = list(_alone(gate, evidence.challenger))
    if against:
        checks += _compared(gate, evidence, against)
    elif evidence.incomparable:
        checks.append(Check(False, evidence.incomparable))
    else:
        checks.append(Check(True, "no champion yet"))
    failed = [check.said for check in checks if not check.passed]
    return Verdict(
        allowed=not failed,
        reasons=failed or [check.said for check in checks],
        sentence=_refusal(evidence, failed) if failed else _permission(gate, evidence),
        numbers={"evidence": evidence.to_json(), "gate": gate.model_dump()},
    )


def overruled(verdict: Verdict, reason: str) -> Verdict:
    """Return a verdict as a person's earlier no makes it, whatever the numbers say now."""
    sentence = f"{reason[:1].upper()}{reason[1:]}."
    return replace(verdict, allowed=False, reasons=[reason], sentence=sentence)


def _alone(gate: Gate, scores: Scores) -> Iterator[Check]:
    """What a version must show by itself."""
    floor = f"test accuracy {scores.accuracy:.2%} against the floor of {gate.floor:.2%}"
    yield Check(scores.accuracy >= gate.floor, floor)
    worst = min(scores.recall, key=lambda name: scores.recall[name])
    recall = f"recall of class {worst!r} {scores.recall[worst]:.2%}, the lowest"
    met = scores.recall[worst] >= gate.class_floor
    yield Check(met, f"{recall}, against the floor of {gate.class_floor:.2%}")
    calibration = f"calibration error {scores.calibration_error:.3f}, at most {gate.calibration}"
    yield Check(scores.calibration_error <= gate.calibration, calibration)
    time = (
        f"{scores.microseconds_per_image:,.0f} microseconds an image, at most {gate.latency:,.0f}"
    )
    yield Check(scores.microseconds_per_image <= gate.latency, time)


def _compared(gate: Gate, evidence: Evidence, against: Comparison) -> Iterator[Check]:
    """What it must show against the champion."""
    champion, paired = against.champion, against.paired
    not_worse = against.gain_low >= -gate.tolerance
    yield Check(
        not_worse,
        f"{paired.gain * 100:+.2f} points against champion version {champion.version}, at least "
        f"{against.gain_low * 100:+.2f} for sure, where {-gate.tolerance * 100:+.2f} is allowed",
    )
    lost = {
        name: champion.recall[name] - recall for name, recall in evidence.challenger.recall.items()
    }
    most = max(lost, key=lambda name: lost[name])
    loss = f"class {most!r} loses {lost[most] * 100:.2f} points of recall ({evidence.support[most]}"
    # A hair of room for the rounding of two shares' difference.
    met = lost[most] <= gate.class_loss + 1e-12
    if lost[most] > 0:
        yield Check(met, f"{loss} images), at most {gate.class_loss * 100:.2f}")
    better = (
        f"{paired.challenger_only} of the {paired.challenger_only + paired.champion_only} images "
        f"that only one of them gets right are its own: p = {paired.p_better:.3f}, alpha "
        f"{gate.alpha}, margin {gate.margin * 100:.2f} points"
    )
    time, size = _cost(evidence.challenger, champion)
    cost = f"{time:.0%} of its time, {size:.0%} of its parameters"
    if is_better(gate, against):
        yield Check(True, f"better: {better}")
    elif not_worse and is_cheaper(gate, evidence.challenger, champion):
        yield Check(True, f"as good and cheaper: {cost}")
    else:
        cheaper = f"nor as good and {gate.saving:.0%} cheaper: {cost}"
        yield Check(False, f"neither better ({better}) {cheaper}")
    if against.left_out:
        yield Check(True, f"{against.left_out} test images that it trained on were left out")
    if against.left_out is None:
        yield Check(True, "its version does not tell which test images it trained on")


def is_better(gate: Gate, against: Comparison) -> bool:
    """Tell whether the gain is large enough and no chance."""
    return against.paired.gain >= gate.margin and against.paired.p_better <= gate.alpha


def is_cheaper(gate: Gate, challenger: Scores, champion: Scores) -> bool:
    """Tell whether time or parameters are saved, and none of the two is paid with the other."""
    cost = _cost(challenger, champion)
    return min(cost) <= 1 - gate.saving and max(cost) <= 1


def _cost(challenger: Scores, champion: Scores) -> tuple[float, float]:
    """Return the challenger's time and parameters as shares of the champion's."""
    time = challenger.microseconds_per_image / champion.microseconds_per_image
    return time, challenger.parameters / champion.parameters


def _permission(gate: Gate, evidence: Evidence) -> str:
    challenger, against = evidence.challenger, evidence.against
    begin = f"Version {challenger.version} may serve: it"
    on = f"{evidence.images:,} test images"
    if against is None:
        return f"{begin} is right on {challenger.accuracy:.2%} of {on}, and none served before."
    champion, paired = against.champion, against.paired
    if is_better(gate, against):
        return (
            f"{begin} is right on {challenger.accuracy:.2%} of {on}, champion version "
            f"{champion.version} on {champion.accuracy:.2%} of the same, a lead that chance alone "
            f"would give in {paired.p_better:.1%} of cases."
        )
    time, size = _cost(challenger, champion)
    return (
        f"{begin} is as good as champion version {champion.version} on {on}, to within "
        f"{gate.tolerance * 100:g} points, with {time:.0%} of its time and {size:.0%} of its "
        f"parameters."
    )


def _refusal(evidence: Evidence, failed: list[str]) -> str:
    version = evidence.challenger.version
    images = f"on {evidence.images:,} test images"
    return f"Version {version} may not serve, judged {images}: {'; '.join(failed)}."


def keep_verdict(client: MlflowClient, name: str, number: str, verdict: Verdict) -> None:
    """Keep what the gate said with the version, refusals too.

    Of more classes than a tag of MLflow takes, the numbers by class are left out of it.
    """
    told = json.dumps(asdict(verdict))
    if len(told) > LONGEST_TAG:
        told = json.dumps(_without(asdict(verdict), ("recall", "support")))
    client.set_model_version_tag(name, number, VERDICT, told)


def _without(value: Any, keys: tuple[str, ...]) -> Any:
    """Return a JSON object without some keys, however deep."""
    if not isinstance(value, dict):
        return value
    return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}


def require_permission(chosen: Registered, champion: Registered | None) -> None:
    """Refuse a version that the gate has not allowed to replace the present champion.

    Raises `GateRefused` with the mend.
    """
    verdict, where = chosen.verdict, f"{chosen.name} version {chosen.version}"
    force = f"`convoy promote {chosen.name} {chosen.version} --force --reason ...`"
    if not verdict:
        raise GateRefused(
            f"the gate has not judged {where}: let `convoy run` do so, or promote it all the same "
            f"with {force}."
        )
    if not verdict.get("allowed"):
        said = str(verdict.get("sentence") or "; ".join(verdict.get("reasons", [])))
        raise GateRefused(
            f"the gate refused {where} ({said.rstrip('.')}): promote it all the same with {force}."
        )
    compared = _compared_with(verdict)
    present = champion.version if champion else None
    if compared != present and present not in (None, chosen.version):
        met = f"champion version {compared}" if compared else "no champion"
        raise GateRefused(
            f"the gate compared {where} with {met}, but version {present} serves now: let `convoy "
            f"run` compare the two, or promote it all the same with {force}."
        )


def _compared_with(verdict: dict[str, Any]) -> str | None:
    evidence = verdict.get("numbers", {}).get("evidence", {})
    against = evidence.get("against")
    return str(against["champion"]["version"]) if against else None
