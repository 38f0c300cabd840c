"""What near-duplicates mean: harmless in one split, a leak between two, suspect with two labels."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from convoy.findings import Finding
from convoy.ingestion.rows import Row
from convoy.splits import Split

LISTED = 1000
"""Pairs of a kind that are listed one by one; a film has millions of them."""

_MEANING = {
    "near-leak": (
        "nearly the same image as {other!r}, but the one is in {split} and the other in {second}",
        "remove one of them, or the figures on {second} flatter the model",
    ),
    "near-two-labels": (
        "labelled {label!r}, but nearly the same image as {other!r}, labelled {second_label!r}",
        "look at them, one label may be wrong",
    ),
    "near-duplicate": (
        "nearly the same image as {other!r}",
        "nothing to do, both stay in {split}",
    ),
}


def judge(
    rows: Sequence[Row],
    kept: Sequence[int],
    splits: Sequence[Split],
    near: NDArray[np.int64],
    leakage: float,
    name: str,
) -> list[Finding]:
    """Return findings about the near-duplicates, by path; refused where test leaks into train.

    `near` (M, 2) holds rows, and a row that was left out stands for the copy that was kept.
    `leakage` is the share of test images that may have a near-duplicate in train.
    """
    ordered = sorted(range(len(kept)), key=lambda place: rows[kept[place]].path)
    of_content = {rows[kept[place]].content: rank for rank, place in enumerate(ordered)}
    rank = np.array([of_content.get(row.content, -1) for row in rows], np.int64)
    low, high = np.sort(rank[near], axis=1).T
    between = np.sort((low * len(kept) + high)[(low >= 0) & (low != high)])
    between = between[np.diff(between, prepend=-1) > 0]
    ranked = np.stack(np.divmod(between, max(len(kept), 1)), axis=1)
    numbers: dict[str, int] = {}
    sorted_rows = [rows[kept[place]] for place in ordered]
    sorted_splits = [splits[place] for place in ordered]
    label = np.array([numbers.setdefault(row.label, len(numbers)) for row in sorted_rows], int)
    split = np.array(sorted_splits, dtype="U5")
    crossing = split[ranked[:, 0]] != split[ranked[:, 1]]
    doubtful = label[ranked[:, 0]] != label[ranked[:, 1]]
    chosen = {
        "near-leak": crossing,
        "near-two-labels": doubtful,
        "near-duplicate": ~crossing & ~doubtful,
    }
    findings: list[Finding] = []
    for rule, mask in chosen.items():
        found = ranked[mask]
        findings += (_pair(rule, sorted_rows, sorted_splits, pair) for pair in found[:LISTED])
        if len(found) > LISTED:
            findings.append(_rest(rule, len(found)))
    leaking = _tested_and_trained_on(ranked, split)
    tested = int((split == "test").sum())
    if leaking and leaking / tested > leakage:
        findings.append(_refusal(leaking, tested, leakage, name))
    return findings


def _tested_and_trained_on(ranked: NDArray[np.int64], split: NDArray[np.str_]) -> int:
    """Return how many test images have a near-duplicate in train."""
    both = np.concatenate([ranked, ranked[:, ::-1]])
    leaks = (split[both[:, 0]] == "test") & (split[both[:, 1]] == "train")
    return len(np.unique(both[leaks, 0]))


def _pair(rule: str, rows: Sequence[Row], splits: Sequence[Split], pair: Iterable[int]) -> Finding:
    one, other = pair
    if rule == "near-leak" and splits[one] == "test":
        one, other = other, one
    reason, mend = _MEANING[rule]
    values = {
        "other": rows[other].path,
        "label": rows[one].label,
        "second_label": rows[other].label,
        "split": splits[one],
        "second": splits[other],
    }
    return Finding(
        severity="warning",
        rule=rule,
        path=rows[one].path,
        reason=reason.format(**values),
        mend=mend.format(**values),
        others=(rows[other].path,),
        label=rows[one].label,
    )


def _rest(rule: str, count: int) -> Finding:
    return Finding(
        severity="warning",
        rule=rule,
        path="",
        reason=f"{count:,} such pairs, of which the first {LISTED:,} are listed",
        mend="look at those first",
    )


def _refusal(leaking: int, tested: int, leakage: float, name: str) -> Finding:
    return Finding(
        severity="refused",
        rule="leakage",
        path="",
        reason=f"dataset {name!r}: {leaking:,} of {tested:,} test images ({leaking / tested:.1%}) "
        f"have a near-duplicate in train, more than the {leakage:.1%} of checks.leakage",
        mend="remove the near-duplicates from train, or raise checks.leakage in params.yaml",
    )
