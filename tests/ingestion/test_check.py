"""Every file is kept or accounted for, and the images alone decide which."""

import random
import sys
from collections import Counter
from types import FrameType

import pytest

from convoy.findings import Finding
from convoy.splits import SPLITS, split_of
from tests.ingestion.animals import (
    LENIENT,
    checked,
    clean,
    mixture,
    only,
    row,
    rules,
    shuffled,
    splits,
)


def test_a_clean_dataset_has_no_findings_and_loses_nothing() -> None:
    rows = clean()
    result = checked(rows)
    assert result.findings == []
    assert result.totals == {
        "found": 2000, "kept": 2000, "duplicates": 0, "quarantined": 0, "ignored": 0,
    }  # fmt: skip
    assert splits(rows, result) == {r.content: split_of(r.content, 0.15, 0.2) for r in rows}
    contents = [rows[number].content for number, _ in result.kept]
    assert contents == sorted(contents)
    assert {split: sum(result.counts[split].values()) for split in SPLITS} == Counter(
        split for _, split in result.kept
    )


def test_planted_copies_conflicts_and_near_duplicates_are_found_exactly() -> None:
    rows = clean()
    copies = [row(f"image {n}", ("cat", "dog")[n % 2], path=f"copy/{n}.png") for n in range(50)]
    liars = [row(f"image {n}", ("dog", "cat")[n % 2], path=f"liar/{n}.png") for n in range(50, 70)]
    near = [(100 + 2 * number, 300 + 2 * number) for number in range(50)]
    result = checked([*rows, *copies, *liars], near, checks=LENIENT)
    assert rules(result) == {"same-image": 50, "two-labels": 40, "near-duplicate": 50}
    assert result.totals == {
        "found": 2070, "kept": 1980, "duplicates": 50, "quarantined": 40, "ignored": 0,
    }  # fmt: skip
    found = {finding.path for finding in result.findings if finding.rule == "near-duplicate"}
    assert found == {min(rows[one].path, rows[other].path) for one, other in near}


def test_any_order_of_the_images_gives_the_same_answer() -> None:
    rows, near, findings = mixture(0)
    expected = checked(rows, near, findings, LENIENT)
    for seed in range(5):
        turned, moved = shuffled(rows, near, seed)
        again = random.Random(seed).sample(findings, len(findings))
        result = checked(turned, moved, again, LENIENT)
        assert [(turned[n], split) for n, split in result.kept] == [
            (rows[n], split) for n, split in expected.kept
        ]
        assert result.findings == expected.findings
        assert (result.counts, result.totals) == (expected.counts, expected.totals)


@pytest.mark.parametrize("seed", range(20))
def test_every_file_is_kept_or_accounted_for(seed: int) -> None:
    rows, near, findings = mixture(seed)
    result = checked(rows, near, findings)
    totals = result.totals
    left = Counter(finding.severity for finding in result.findings)
    assert totals["found"] == len(rows) + len(findings)
    assert totals["found"] == sum(
        totals[k] for k in ("kept", "duplicates", "quarantined", "ignored")
    )
    assert totals["kept"] == len(result.kept) == len({rows[n].content for n, _ in result.kept})
    assert totals["duplicates"] == left["duplicate"]
    assert totals["quarantined"] == left["quarantined"]
    assert totals["ignored"] == left["ignored"]
    paths = [f.path for f in result.findings if f.severity in ("duplicate", "quarantined")]
    assert len(paths) == len(set(paths))
    assert not set(paths) & {rows[number].path for number, _ in result.kept}


def test_names_that_differ_by_case_only_are_a_warning() -> None:
    rows = [*clean(), row("one", path="cat/A.png"), row("two", path="cat/a.PNG")]
    finding = only(checked(rows), "same-name")
    assert (finding.path, finding.others) == ("cat/A.png", ("cat/a.PNG",))


def bad(count: int, label: str = "") -> list[Finding]:
    return [
        Finding("quarantined", "truncated", f"{number}.png", "cut off", "repair it", label=label)
        for number in range(count)
    ]


def test_too_many_bad_files_are_refused_with_examples_and_the_mend() -> None:
    rows = clean(990)
    assert checked(rows, findings=bad(9)).refusals == []
    assert checked(rows, findings=bad(10)).refusals == []
    (finding,) = checked(rows, findings=bad(11)).refusals
    assert "11 of 1,001 files (1.1%)" in finding.reason
    assert "'0.png' cut off" in finding.reason
    assert finding.mend.endswith("raise checks.quarantined in params.yaml")


def test_too_many_bad_files_of_one_class_are_refused() -> None:
    rows = [*clean(5000, ("cat",)), *(row(f"dog {n}", "dog") for n in range(95))]
    assert checked(rows, findings=bad(5, "dog")).refusals == []
    (finding,) = checked(rows, findings=bad(6, "dog")).refusals
    assert "class 'dog': 6 of 101 files" in finding.reason


def test_work_grows_with_the_images_and_not_with_their_square() -> None:
    def calls(count: int) -> int:
        rows = clean(count, [str(number) for number in range(10)])
        near = [(number, number + 10) for number in range(0, count // 10, 20)]
        found = 0

        def seen(frame: FrameType, event: str, argument: object) -> None:
            nonlocal found
            found += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(seen)
        try:
            checked(rows, near)
        finally:
            sys.setprofile(before)
        return found

    assert calls(8000) < 4.4 * calls(2000)
