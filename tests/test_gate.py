"""The gate's judgement."""

import json
from pathlib import Path

import numpy as np
import pytest

from convoy.evaluation.significance import Paired, mcnemar
from convoy.gate import Verdict, judge, keep_verdict
from convoy.settings import Gate
from tests.stores import add_versions, new_store

GATE = Gate(floor=0.9, margin=0.01, alpha=0.05)


def paired(challenger_only: int, champion_only: int, images: int = 100) -> Paired:
    """Two networks that differ on so many images, both right on the rest."""
    challenger, other = np.ones(images, dtype=np.bool_), np.ones(images, dtype=np.bool_)
    challenger[:champion_only] = False
    other[champion_only : champion_only + challenger_only] = False
    return mcnemar(challenger, other)


def test_the_first_version_has_to_reach_the_floor_alone() -> None:
    assert judge(GATE, 0.9, None, None) == Verdict(
        True, ["test accuracy 90.00% against the floor of 90.00%", "no champion yet"]
    )
    assert judge(GATE, 0.8999, None, None) == Verdict(
        False, ["test accuracy 89.99% against the floor of 90.00%"]
    )


def test_a_clear_gain_is_allowed() -> None:
    verdict = judge(GATE, 0.99, "1", paired(12, 1))
    assert verdict.allowed
    assert len(verdict.reasons) == 3


def test_a_gain_below_the_margin_is_refused_however_sure_it_is() -> None:
    verdict = judge(GATE, 0.99, "1", paired(9, 0, images=10_000))
    assert not verdict.allowed
    assert verdict.reasons == ["+0.09 points against champion version 1, margin 1.00"]


def test_a_gain_that_may_be_chance_is_refused_however_large_it_is() -> None:
    verdict = judge(GATE, 0.99, "1", paired(4, 0))
    assert not verdict.allowed
    (reason,) = verdict.reasons
    assert "4 of the 4 images" in reason and "p = 0.062, alpha 0.05" in reason


def test_a_gain_counts_from_alpha_on_exactly() -> None:
    five = paired(5, 0)  # p = 1 / 32
    assert judge(Gate(floor=0.0, margin=0.0, alpha=1 / 32), 0.5, "1", five).allowed
    assert not judge(Gate(floor=0.0, margin=0.0, alpha=0.031), 0.5, "1", five).allowed


def test_better_than_the_champion_but_below_the_floor_is_refused() -> None:
    verdict = judge(GATE, 0.85, "1", paired(20, 0))
    assert verdict == Verdict(False, ["test accuracy 85.00% against the floor of 90.00%"])


def test_every_reason_against_a_version_is_given() -> None:
    assert len(judge(GATE, 0.1, "1", paired(0, 9)).reasons) == 3


def test_verdicts_are_kept_with_their_version_refusals_too(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 1)
    keep_verdict(client, "digits", "1", Verdict(False, ["too few"]))
    tag = client.get_model_version("digits", "1").tags["convoy.verdict"]
    assert json.loads(tag) == {"allowed": False, "reasons": ["too few"]}
