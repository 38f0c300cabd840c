"""What is known about a dataset version as one JSON value, from which its page is drawn.

It follows from the images and the settings alone, holds no date, and stays within a few megabytes
whatever the size of the dataset: a long list is cut off, and its length is said.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from convoy.findings import Finding
from convoy.ingestion.check import Checked
from convoy.ingestion.rows import Row
from convoy.settings import Dataset
from convoy.splits import Split

LISTED = 10_000
"""Findings of a severity that are listed."""
PICTURED = 24
"""Findings of a rule that are listed with their images."""
SAMPLES = 12
"""Images of a class."""
COMMON = 10
"""Sizes that most images have."""

_SEVERITIES = ("refused", "warning", "quarantined", "duplicate", "ignored")
_WITH_IMAGES = ("same-image", "leak", "near-leak", "near-two-labels", "near-duplicate")


def report(
    checked: Checked,
    rows: Sequence[Row],
    *,
    name: str,
    version: str,
    dataset: Dataset,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Return the report. `rows` are those that were checked; contents are hashes in hex.

    `version` is the digest of what was made of them, empty for a dataset that was refused. `mean`
    and `std` are those of the training images, in gray levels (0 to 255), a value a channel.
    """
    images = [(rows[number], split) for number, split in checked.kept]
    rules = Counter(finding.rule for finding in checked.findings)
    return {
        "name": name,
        "version": version,
        "source": dataset.source,
        "channels": dataset.channels,
        "image_size": dataset.image_size,
        "totals": checked.totals,
        "classes": checked.classes,
        "counts": checked.counts,
        "mean": list(mean),
        "std": list(std),
        "sizes": _sizes([row for row, _ in images]),
        "samples": _samples(images, checked.classes),
        "conflicts": _conflicts(checked.findings, rows),
        "rules": dict(sorted(rules.items())),
        "findings": _findings(checked.findings, images, rows),
    }


def _sizes(images: Sequence[Row]) -> dict[str, Any]:
    """Return the sizes in pixels; `cells` are [2 log2 width, 2 log2 height, images], rounded."""
    sizes = Counter((row.width, row.height) for row in images)
    cells: Counter[tuple[int, int]] = Counter()
    for (width, height), count in sizes.items():
        cells[_half_octave(width), _half_octave(height)] += count
    common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:COMMON]
    return {
        "different": len(sizes),
        "common": [[*size, count] for size, count in common],
        "cells": [[*cell, count] for cell, count in sorted(cells.items())],
    }


def _half_octave(pixels: int) -> int:
    """Return 2 log2 of a number of pixels, rounded to the nearest whole number."""
    # floor(2 log2 p + 1/2) = floor(log2(2 p^4) / 2), and that in whole numbers.
    return ((2 * pixels**4).bit_length() - 1) // 2


def _samples(images: Sequence[tuple[Row, Split]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return some training images of each class: the first by content, which is as good as any."""
    samples: dict[str, list[str]] = {label: [] for label in classes}
    for row, split in images:
        if split == "train" and len(samples[row.label]) < SAMPLES:
            samples[row.label].append(row.content.hex())
    return samples


def _conflicts(findings: Sequence[Finding], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the images that have several labels, each with its files."""
    doubted = {finding.path for finding in findings if finding.rule == "two-labels"}
    files: dict[str, list[list[str]]] = {}
    for row in rows:
        if row.path in doubted:
            files.setdefault(row.content.hex(), []).append([row.path, row.label])
    shown = sorted((sorted(named), content) for content, named in files.items())[:PICTURED]
    return [{"content": content, "files": named[:SAMPLES]} for named, content in shown]


def _findings(
    findings: Sequence[Finding], images: Sequence[tuple[Row, Split]], rows: Sequence[Row]
) -> dict[str, Any]:
    by_severity: dict[str, list[Finding]] = {severity: [] for severity in _SEVERITIES}
    for finding in findings:
        by_severity[finding.severity].append(finding)
    split_of = {row.content: split for row, split in images}
    of_path = {row.path: row for row in rows}
    pictured: Counter[str] = Counter()

    def listed(finding: Finding) -> dict[str, Any]:
        value = finding.to_json()
        pictured[finding.rule] += 1
        if finding.rule in _WITH_IMAGES and pictured[finding.rule] <= PICTURED:
            shown = [of_path[path] for path in (finding.path, *finding.others) if path in of_path]
            value["images"] = [
                {
                    "content": row.content.hex(),
                    "path": row.path,
                    "label": row.label,
                    "split": split_of.get(row.content, ""),
                }
                for row in shown
            ]
        return value

    return {
        severity: {"total": len(found), "listed": [listed(finding) for finding in found[:LISTED]]}
        for severity, found in by_severity.items()
    }
