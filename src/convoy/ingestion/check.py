"""What of a dataset is kept, in which split, and what is wrong with the rest.

Every rule is a function of the rows alone, so that the same images give the same answer in
whatever order they came. One finding stands for each file that is left out, so that the files add
up: found = kept + duplicates + quarantined + ignored.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convoy.findings import Finding
from convoy.ingestion import classes, copies, leakage, sizes
from convoy.ingestion.assignment import assign
from convoy.ingestion.rows import Row
from convoy.settings import Checks, Dataset
from convoy.splits import SPLITS, Split

EXAMPLES = 5
_SEVERITIES = ("refused", "warning", "quarantined", "duplicate", "ignored")


@dataclass(frozen=True)
class Checked:
    """A dataset after all checks. One with a finding of severity `refused` must not be used."""

    kept: list[tuple[int, Split]]
    """Row number and split of each image that stays, in the order of their content."""
    findings: list[Finding]
    """By severity, refusals first and in the order of their weight; then by rule and path."""
    classes: list[str]
    """Numbers by value, then words."""
    counts: dict[Split, dict[str, int]]
    """Kept images by split and class."""
    totals: dict[str, int]
    """Files: found = kept + duplicates + quarantined + ignored."""

    @property
    def refusals(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "refused"]


def check(
    rows: Sequence[Row],
    near: NDArray[np.int64],
    findings: Sequence[Finding],
    dataset: Dataset,
    checks: Checks,
    name: str,
) -> Checked:
    """Return what is kept of dataset `name`. Nothing is raised: the caller has a report to write.

    `near` (M, 2) holds row numbers of near-duplicates, `findings` what reading found: one for each
    file that was ignored or quarantined.
    """
    allowed, too_far = sizes.admitted(rows, checks)
    kept, repeated = copies.unique(rows, allowed)
    splits = assign(rows, kept, near, dataset)
    found = [*findings, *too_far, *repeated]
    images = [rows[row] for row in kept]

    labels = classes.ordered({row.label for row in rows})
    counts: dict[Split, dict[str, int]] = {split: dict.fromkeys(labels, 0) for split in SPLITS}
    for image, split in zip(images, splits, strict=True):
        counts[split][image.label] += 1
    severities = Counter(finding.severity for finding in found)
    totals = {
        "found": len(kept)
        + sum(severities[kind] for kind in ("duplicate", "quarantined", "ignored")),
        "kept": len(kept),
        "duplicates": severities["duplicate"],
        "quarantined": severities["quarantined"],
        "ignored": severities["ignored"],
    }
    found += _too_many_bad(found, images, checks, name)
    found += classes.judge(labels, counts, checks, name)
    found += leakage.judge(rows, kept, splits, near, checks.leakage, name)
    found += sizes.odd(images)
    found += _same_names(rows)
    return Checked(
        kept=list(zip(kept, splits, strict=True)),
        findings=_in_order(found),
        classes=labels,
        counts=counts,
        totals=totals,
    )


def _too_many_bad(
    findings: Sequence[Finding], kept: Sequence[Row], checks: Checks, name: str
) -> list[Finding]:
    """Return refusals where too large a share of the files, or of a class, is quarantined."""
    bad = sorted(
        (finding for finding in findings if finding.severity == "quarantined"),
        key=lambda finding: finding.path,
    )
    good = [image.label for image in kept]
    good += [finding.label for finding in findings if finding.severity == "duplicate"]
    refusals = []
    if bad and len(bad) / (len(good) + len(bad)) > checks.quarantined:
        where, key = f"dataset {name!r}", "checks.quarantined"
        refusals.append(_refusal(where, key, bad, len(good) + len(bad), checks.quarantined))
    good_by_class = Counter(good)
    bad_by_class: dict[str, list[Finding]] = {}
    for finding in bad:
        if finding.label:
            bad_by_class.setdefault(finding.label, []).append(finding)
    for label in classes.ordered(set(bad_by_class)):
        of_class = bad_by_class[label]
        total = good_by_class[label] + len(of_class)
        if len(of_class) / total > checks.quarantined_per_class:
            where, key = f"dataset {name!r}, class {label!r}", "checks.quarantined_per_class"
            refusals.append(_refusal(where, key, of_class, total, checks.quarantined_per_class))
    return refusals


def _refusal(where: str, key: str, bad: Sequence[Finding], total: int, most: float) -> Finding:
    examples = "; ".join(f"{finding.path!r} {finding.reason}" for finding in bad[:EXAMPLES])
    return Finding(
        severity="refused",
        rule="too-many-bad",
        path="",
        reason=f"{where}: {len(bad):,} of {total:,} files ({len(bad) / total:.1%}) cannot be used, "
        f"more than the {most:.1%} of {key} (first: {examples})",
        mend=f"repair or remove them, or raise {key} in params.yaml",
        others=tuple(finding.path for finding in bad[:EXAMPLES]),
    )


def _same_names(rows: Sequence[Row]) -> list[Finding]:
    return [
        Finding(
            severity="warning",
            rule="same-name",
            path=together[0],
            reason=f"{len(together)} files have this name but for case or the Unicode form of a "
            f"letter",
            mend="rename them, or a computer that ignores case loses all but one",
            others=tuple(together[1 : 1 + copies.SHOWN]),
        )
        for together in classes.colliding({row.path for row in rows})
    ]


def _in_order(findings: Sequence[Finding]) -> list[Finding]:
    def place(finding: Finding) -> tuple[int, str, bool, str, tuple[str, ...], str]:
        severity = _SEVERITIES.index(finding.severity)
        if finding.severity == "refused":
            # As they were made: the cause before what follows from it.
            return severity, "", False, "", (), ""
        # What is about the whole of a rule comes after its examples.
        by_path = not finding.path, finding.path, finding.others
        return severity, finding.rule, *by_path, finding.reason

    return sorted(findings, key=place)
