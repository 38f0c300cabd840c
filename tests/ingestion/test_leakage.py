"""Near-duplicates are a leak between splits, suspect with two labels, and harmless otherwise."""

from convoy.splits import split_of
from tests.ingestion.animals import LENIENT, checked, clean, official, only, row, rules


def test_near_duplicates_across_official_splits_are_leaks() -> None:
    rows = official()
    train = next(n for n in range(800) if split_of(rows[n].content, 0.15, 0) == "train")
    result = checked(rows, [(train, 800 + train % 2)])
    finding = only(result, "near-leak")
    assert finding.severity == "warning"
    assert (finding.path, *finding.others) == (rows[train].path, rows[800 + train % 2].path)
    assert "the one is in train and the other in test" in finding.reason
    assert rules(result) == {"near-leak": 1}


def test_too_many_leaks_refuse_the_dataset_with_the_figures() -> None:
    rows = official()
    train = [n for n in range(800) if split_of(rows[n].content, 0.15, 0) == "train"]
    even = [number for number in train if number % 2 == 0]
    near = [(even[place], 800 + 2 * place) for place in range(11)]
    assert "leakage" not in rules(checked(rows, near[:10]))
    finding = only(checked(rows, near), "leakage")
    assert finding.severity == "refused"
    assert "11 of 200 test images (5.5%)" in finding.reason
    assert "5.0% of checks.leakage" in finding.reason


def test_near_duplicates_with_two_labels_are_worth_a_look() -> None:
    rows = clean()
    finding = only(checked(rows, [(0, 1)]), "near-two-labels")
    assert finding.severity == "warning"
    assert "'cat'" in finding.reason and "'dog'" in finding.reason
    assert len(checked(rows, [(0, 1)]).kept) == 2000


def test_a_film_of_near_duplicates_is_listed_up_to_a_limit() -> None:
    rows = clean(3000)
    near = [(one, one + 2) for one in range(2900)]
    result = checked(rows, near, checks=LENIENT)
    found = [finding for finding in result.findings if finding.rule == "near-duplicate"]
    assert len(found) == 1001
    assert "2,900 such pairs" in found[-1].reason


def test_names_that_look_like_templates_are_harmless() -> None:
    rows = [*clean(), row("one", path="{other}{0}%s.png"), row("two", path="'\n<b>.png")]
    assert rules(checked(rows, [(2000, 2001)])) == {"near-duplicate": 1}
