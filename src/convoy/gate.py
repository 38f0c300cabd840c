"""The gate: what a version must show before it serves, against the champion on the same images."""

import json
from dataclasses import asdict, dataclass

from mlflow import MlflowClient

from convoy.evaluation.significance import Paired
from convoy.registry import VERDICT
from convoy.settings import Gate


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a version, with its reasons."""

    allowed: bool
    reasons: list[str]


def judge(gate: Gate, accuracy: float, champion: str | None, paired: Paired | None) -> Verdict:
    """Compare like with like: both on the same test images, by a floor, a margin and a paired test.

    `paired` is None for the first version, which has nobody to beat.
    """
    passed: list[str] = []
    failed: list[str] = []
    floor = f"test accuracy {accuracy:.2%} against the floor of {gate.floor:.2%}"
    (passed if accuracy >= gate.floor else failed).append(floor)
    if champion is None or paired is None:
        passed.append("no champion yet")
    else:
        against = f"{paired.gain * 100:+.2f} points against champion version {champion}"
        margin = f"{against}, margin {gate.margin * 100:.2f}"
        (passed if paired.gain >= gate.margin else failed).append(margin)
        evidence = (
            f"{paired.challenger_only} of the {paired.challenger_only + paired.champion_only} "
            f"images that only one of them gets right are its own: p = {paired.p_better:.3f}, "
            f"alpha {gate.alpha}"
        )
        (passed if paired.p_better <= gate.alpha else failed).append(evidence)
    return Verdict(allowed=not failed, reasons=failed or passed)


def keep_verdict(client: MlflowClient, name: str, number: str, verdict: Verdict) -> None:
    """Keep what the gate said with the version, refusals too."""
    client.set_model_version_tag(name, number, VERDICT, json.dumps(asdict(verdict)))
