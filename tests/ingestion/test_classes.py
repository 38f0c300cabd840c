"""Classes that cannot be told apart, trained or tested are refused."""

import pytest

from convoy.splits import split_of
from tests.ingestion.animals import CHECKS, checked, clean, digest, official, only, row, rules


@pytest.mark.parametrize("labels", [(), ("cat",)])
def test_one_class_is_refused(labels: tuple[str, ...]) -> None:
    rows = clean(100, labels) if labels else []
    assert only(checked(rows), "one-class").severity == "refused"


def test_a_class_that_is_too_rare_is_refused_with_class_split_and_count() -> None:
    rare = next(
        number for number in range(100) if split_of(digest(f"rare {number}"), 0.15, 0.2) == "train"
    )
    result = checked([*clean(), row(f"rare {rare}", "yak")])
    found = [str(finding) for finding in result.refusals]
    assert len(found) == 3
    assert "class 'yak' has 1 image in train, fewer than the 2 of checks.rarest" in found[0]
    assert "0 images in val" in found[1] and "in params.yaml." in found[1]


def test_a_class_that_is_in_test_only_is_refused() -> None:
    rows = [*official(), *(row(f"new {n}", "yak", split="test") for n in range(5))]
    finding = checked(rows).refusals[0]
    assert finding.rule == "not-in-train"
    assert "(0 in val, 5 in test)" in finding.reason


def test_classes_that_differ_by_case_or_unicode_form_are_refused() -> None:
    result = checked(clean(2000, ("Cat", "cat", "caf\u00e9", "cafe\u0301")))
    assert [finding.rule for finding in result.refusals] == ["class-names", "class-names"]
    assert result.findings[0].reason.startswith("dataset 'animals': the classes 'Cat' and 'cat'")


def test_numbers_come_by_value_and_words_after_them() -> None:
    labels = ("10", "9", "b", "a", "\u00b2", "1" * 5000)
    assert checked(clean(2000, labels)).classes == ["9", "10", "1" * 5000, "a", "b", "\u00b2"]


def test_imbalance_is_a_warning_with_the_numbers() -> None:
    rows = [*clean(3030, ("cat",)), *clean(30, ("dog",))]
    rows = [r._replace(content=digest(r.path)) for r in rows]
    checks = CHECKS.model_copy(update={"rarest": 1})
    assert (
        "'cat' has 3,030 images and 'dog' 30"
        in only(checked(rows, checks=checks), "imbalance").reason
    )
    assert "imbalance" not in rules(checked(rows[30:], checks=checks))
