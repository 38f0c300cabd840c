"""The gate's judgement, every number of it kept, and what a person needs its word for."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from convoy.errors import GateRefused
from convoy.evaluation.evidence import Evidence
from convoy.gate import Verdict, judge, keep_verdict, require_permission
from convoy.registry import VERDICT, Registered
from tests.judged import GATE, LIKE, against, alone
from tests.stores import add_versions, new_store


def refused(evidence: Evidence) -> str:
    """The one reason against a version."""
    verdict = judge(GATE, evidence)
    assert not verdict.allowed
    (reason,) = verdict.reasons
    assert verdict.sentence.startswith("Version 2 may not serve, judged on ")
    assert reason in verdict.sentence
    return reason


def test_the_first_version_has_to_reach_the_floors_alone() -> None:
    verdict = judge(GATE, alone())
    assert verdict.allowed
    assert verdict.reasons == [
        "test accuracy 97.00% against the floor of 90.00%",
        "recall of class 'cat' 97.00%, the lowest, against the floor of 50.00%",
        "calibration error 0.020, at most 0.1",
        "100 microseconds an image, at most 1,000",
        "no champion yet",
    ]
    assert verdict.sentence == (
        "Version 2 may serve: it is right on 97.00% of 200 test images, and none served before."
    )


def test_below_the_floor_nothing_is_allowed() -> None:
    reason = refused(alone(replace(LIKE, accuracy=0.8999)))
    assert reason == "test accuracy 89.99% against the floor of 90.00%"
    assert judge(GATE, alone(replace(LIKE, accuracy=0.9))).allowed


def test_a_class_that_is_hardly_ever_recognised_is_named() -> None:
    reason = refused(alone(replace(LIKE, recall={"cat": 0.99, "dog": 0.49})))
    assert reason.startswith("recall of class 'dog' 49.00%, the lowest, against the floor of 50")


def test_a_badly_calibrated_version_is_refused() -> None:
    assert "error 0.110, at most 0.1" in refused(alone(replace(LIKE, calibration_error=0.11)))


def test_a_slow_version_is_refused() -> None:
    slow = replace(LIKE, microseconds_per_image=1500.4)
    assert refused(alone(slow)) == "1,500 microseconds an image, at most 1,000"


def test_a_clear_gain_is_allowed_and_said_in_plain_words() -> None:
    verdict = judge(GATE, against(12, 1))
    assert verdict.allowed
    assert any(reason.startswith("better: 12 of the 13 images") for reason in verdict.reasons)
    assert "champion version 1 on 97.00% of the same, a lead that chance alone" in verdict.sentence


def test_a_gain_below_the_margin_is_refused_however_sure_it_is() -> None:
    reason = refused(against(9, 0, images=10_000))
    assert reason.startswith("neither better (9 of the 9 images") and "margin 1.00" in reason


def test_a_gain_that_may_be_chance_is_refused_however_large_it_is() -> None:
    reason = refused(against(4, 0, images=100))
    assert "4 of the 4 images" in reason and "p = 0.062, alpha 0.05" in reason


def test_a_gain_counts_from_alpha_on_exactly() -> None:
    five = against(5, 0)  # p = 1 / 32
    assert judge(GATE.model_copy(update={"alpha": 1 / 32}), five).allowed
    assert not judge(GATE.model_copy(update={"alpha": 0.031}), five).allowed


def test_an_equal_retraining_is_refused_with_a_clear_sentence() -> None:
    reason = refused(against(1, 1, images=348))
    assert reason.endswith("nor as good and 20% cheaper: 100% of its time, 100% of its parameters")


def test_an_equal_and_cheaper_version_is_allowed() -> None:
    small = replace(LIKE, parameters=800)
    verdict = judge(GATE, against(1, 1, images=348, challenger=small))
    assert verdict.allowed
    assert "as good as champion version 1 on 348 test images, to within 2 points" in (
        verdict.sentence
    )
    assert not judge(GATE, against(1, 1, challenger=replace(LIKE, parameters=801))).allowed


@pytest.mark.parametrize(
    ("time", "size", "allowed"), [(80.0, 1000, True), (79.0, 1001, False), (101.0, 500, False)]
)
def test_what_is_saved_in_time_is_not_paid_in_parameters_nor_the_other_way(
    time: float, size: int, allowed: bool
) -> None:
    other = replace(LIKE, microseconds_per_image=time, parameters=size)
    assert judge(GATE, against(0, 0, challenger=other)).allowed is allowed


def test_a_version_that_may_be_worse_is_not_taken_for_being_cheaper() -> None:
    small = replace(LIKE, parameters=10)
    verdict = judge(GATE, against(0, 4, images=200, challenger=small))
    assert not verdict.allowed
    assert verdict.reasons[0].startswith("-2.00 points against champion version 1, at least ")


def test_few_images_that_tell_nothing_are_no_proof_of_being_as_good() -> None:
    small = replace(LIKE, parameters=10)
    assert not judge(GATE, against(5, 5, images=100, challenger=small)).allowed
    assert judge(GATE, against(5, 5, images=2000, challenger=small)).allowed


def test_a_class_that_loses_recall_is_named_however_good_the_rest_is() -> None:
    reason = refused(against(12, 1, recall={"cat": 0.9, "dog": 1.03}))
    assert reason == "class 'dog' loses 6.00 points of recall (100 images), at most 5.00"
    assert judge(GATE, against(12, 1, recall={"cat": 0.9, "dog": 1.02})).allowed


def test_a_class_that_the_champion_does_not_know_can_only_gain() -> None:
    assert judge(GATE, against(12, 1, recall={"cat": 0.9, "dog": 0.0})).allowed


def test_images_that_the_champion_trained_on_are_told() -> None:
    assert (
        "7 test images that it trained on were left out"
        in judge(GATE, against(12, 1, left_out=7)).reasons
    )
    assert (
        "its version does not tell which test images it trained on"
        in judge(GATE, against(12, 1, left_out=None)).reasons
    )


def test_without_a_comparison_nothing_replaces_a_champion() -> None:
    reason = "champion version 1 trained on each of the 200 images"
    assert refused(replace(alone(), incomparable=reason)) == reason


def test_every_reason_against_a_version_is_given() -> None:
    bad = replace(LIKE, accuracy=0.1, recall={"cat": 0.1, "dog": 0.1}, calibration_error=0.5)
    assert len(judge(GATE, against(0, 99, challenger=bad)).reasons) == 6


def test_a_verdict_is_kept_with_every_number_refusals_too(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 1)
    evidence = against(4, 0, images=100)
    verdict = judge(GATE, evidence)
    keep_verdict(client, "digits", "1", verdict)
    kept = json.loads(client.get_model_version("digits", "1").tags["convoy.verdict"])
    assert kept == asdict(verdict)
    assert Evidence.from_json(kept["numbers"]["evidence"]) == evidence
    assert kept["numbers"]["gate"] == GATE.model_dump()


def test_a_verdict_on_thousands_of_classes_is_kept_without_the_numbers_by_class(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 1)
    many = {f"class {number}": 0.97 for number in range(4000)}
    evidence = replace(alone(replace(LIKE, recall=many)), support=dict.fromkeys(many, 5))
    keep_verdict(client, "digits", "1", judge(GATE, evidence))
    kept = json.loads(client.get_model_version("digits", "1").tags["convoy.verdict"])
    assert kept["allowed"] and kept["numbers"]["evidence"]["challenger"]["accuracy"] == 0.97
    assert "recall" not in kept["numbers"]["evidence"]["challenger"]


def registered(version: str, verdict: Verdict | None) -> Registered:
    tags = {VERDICT: json.dumps(asdict(verdict))} if verdict else {}
    return Registered("digits", version, (), "run", 0, tags)


def test_a_version_that_the_gate_allowed_against_the_present_champion_may_be_promoted() -> None:
    allowed = registered("2", judge(GATE, against(12, 1)))
    require_permission(allowed, registered("1", None))
    require_permission(allowed, None)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (None, "the gate has not judged digits version 2"),
        (judge(GATE, against(4, 0)), r"refused digits version 2 \(Version 2 may not serve, "),
        (judge(GATE, alone()), "with no champion, but version 1 serves now"),
    ],
)
def test_a_person_needs_force_where_the_gate_has_not_allowed_it(
    verdict: Verdict | None, words: str
) -> None:
    with pytest.raises(GateRefused, match=words) as caught:
        require_permission(registered("2", verdict), registered("1", None))
    assert "`convoy promote digits 2 --force --reason ...`" in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_verdict_against_an_earlier_champion_is_not_one_against_this_one() -> None:
    with pytest.raises(GateRefused, match="with champion version 1, but version 3 serves now"):
        require_permission(registered("2", judge(GATE, against(12, 1))), registered("3", None))
