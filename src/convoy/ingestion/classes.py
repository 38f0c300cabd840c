"""Which classes a dataset has, and whether each has what training and testing need."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from unicodedata import normalize

from convoy.findings import Finding, counted
from convoy.settings import Checks
from convoy.splits import SPLITS, Split

Counts = Mapping[Split, Mapping[str, int]]


def ordered(labels: set[str]) -> list[str]:
    """Return "2" before "10", and words after numbers."""

    def by_value(label: str) -> tuple[bool, int, str]:
        number = label.isascii() and label.isdecimal() and len(label) <= 18
        return not number, int(label) if number else 0, label

    return sorted(labels, key=by_value)


def colliding(names: set[str]) -> list[list[str]]:
    """Return the names that are one and the same on a file system that ignores case.

    Each set is sorted, by Unicode's composed form (NFC) without case.
    """

    def folded(name: str) -> str:
        return normalize("NFC", name).casefold()

    alike = (sorted(group) for _, group in groupby(sorted(names, key=folded), folded))
    return sorted(together for together in alike if len(together) > 1)


def judge(classes: Sequence[str], counts: Counts, checks: Checks, name: str) -> list[Finding]:
    """Return what is wrong with the classes of dataset `name`, refusals first."""
    findings = []
    if len(classes) < 2:
        findings.append(
            _refused(
                "one-class",
                f"dataset {name!r} has {'one class' if classes else 'no class'}, and a classifier "
                f"tells at least two apart",
                "add images of another class",
            )
        )
    for together in colliding(set(classes)):
        named = " and ".join(map(repr, together))
        findings.append(
            _refused(
                "class-names",
                f"dataset {name!r}: the classes {named} have one name but for case or the Unicode "
                f"form of a letter",
                "rename one of them, or put their images into one class",
            )
        )
    for label in classes:
        findings += _rare(label, counts, checks.rarest, name)
    totals = {label: sum(counts[split][label] for split in SPLITS) for label in classes}
    findings += _imbalance(totals, checks.imbalance)
    return findings


def _rare(label: str, counts: Counts, rarest: int, name: str) -> list[Finding]:
    if not counts["train"][label]:
        elsewhere = ", ".join(f"{counts[split][label]:,} in {split}" for split in ("val", "test"))
        return [
            _refused(
                "not-in-train",
                f"dataset {name!r}: class {label!r} has no image in train ({elsewhere})",
                "add images of it to train, or remove the class",
            )
        ]
    return [
        _refused(
            "too-rare",
            f"dataset {name!r}: class {label!r} has {counted(counts[split][label], 'image')} in "
            f"{split}, fewer than the {rarest} of checks.rarest",
            "add images of it, or change the shares val and test of the dataset or checks.rarest "
            "in params.yaml",
        )
        for split in SPLITS
        if counts[split][label] < rarest
    ]


def _imbalance(totals: Mapping[str, int], most: float) -> list[Finding]:
    # A class without images is refused above.
    there = {label: total for label, total in totals.items() if total}
    if not there:
        return []
    large, small = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
    if there[large] <= most * there[small]:
        return []
    return [
        Finding(
            severity="warning",
            rule="imbalance",
            path="",
            reason=f"class {large!r} has {there[large]:,} images and {small!r} {there[small]:,}, "
            f"{there[large] / there[small]:,.0f} to one",
            mend="add images of the small class, or look at the recall of each class and not at "
            "the accuracy",
            label=small,
        )
    ]


def _refused(rule: str, reason: str, mend: str) -> Finding:
    return Finding(severity="refused", rule=rule, path="", reason=reason, mend=mend)
