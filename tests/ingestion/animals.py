"""Rows of a dataset of animals, with and without faults, and what the checks say of them."""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convoy.findings import Finding
from convoy.ingestion.check import Checked, check
from convoy.ingestion.rows import Row
from convoy.settings import Checks, Dataset
from convoy.splits import Split

DATASET = Dataset(source="folder", model="m", channels="rgb", image_size=32, val=0.15, test=0.2)
CHECKS = Checks(
    quarantined=0.01,
    quarantined_per_class=0.05,
    smallest=8,
    largest=50_000_000,
    near=0.98,
    leakage=0.05,
    rarest=2,
    imbalance=100,
)
LENIENT = CHECKS.model_copy(update={"quarantined": 1.0, "quarantined_per_class": 1.0})
NONE = np.empty((0, 2), np.int64)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def row(
    name: str,
    label: str = "cat",
    *,
    path: str = "",
    split: Split | None = None,
    group: str | None = None,
    size: tuple[int, int] = (32, 32),
) -> Row:
    """An image whose pixels are told by `name`."""
    content = digest(name)
    return Row(path or f"{label}/{name}.png", label, content, content, *size, split, group)


def clean(count: int = 2000, labels: Sequence[str] = ("cat", "dog")) -> list[Row]:
    return [row(f"image {number}", labels[number % len(labels)]) for number in range(count)]


def official(train: int = 800, test: int = 200, val: int = 0) -> list[Row]:
    rows = []
    counts: list[tuple[Split, int]] = [("train", train), ("test", test), ("val", val)]
    for split, count in counts:
        rows += [
            row(f"{split} {number}", ("cat", "dog")[number % 2], split=split)
            for number in range(count)
        ]
    return rows


def checked(
    rows: Sequence[Row],
    near: Sequence[tuple[int, int]] = (),
    findings: Sequence[Finding] = (),
    checks: Checks = CHECKS,
    dataset: Dataset = DATASET,
) -> Checked:
    return check(rows, array(near), findings, dataset, checks, "animals")


def array(near: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(near, np.int64).reshape(-1, 2)


def splits(rows: Sequence[Row], result: Checked) -> dict[bytes, Split]:
    return {rows[number].content: split for number, split in result.kept}


def rules(result: Checked) -> Counter[str]:
    return Counter(finding.rule for finding in result.findings)


def only(result: Checked, rule: str) -> Finding:
    (finding,) = [finding for finding in result.findings if finding.rule == rule]
    return finding


def shuffled(
    rows: Sequence[Row], near: Sequence[tuple[int, int]], seed: int
) -> tuple[list[Row], list[tuple[int, int]]]:
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    moved = [(place[one], place[other]) for one, other in near]
    random.Random(seed + 1).shuffle(moved)
    return [rows[old] for old in order], [(min(pair), max(pair)) for pair in moved]


def mixture(seed: int) -> tuple[list[Row], list[tuple[int, int]], list[Finding]]:
    """Rows with every fault there is, near-duplicates and what reading found."""
    draw = random.Random(seed)
    official: tuple[Split | None, ...] = draw.choice(
        [(None,), ("train", "test"), ("train", "val", "test"), (None, "train", "test")]
    )
    rows = [
        row(
            f"image {draw.randrange(600)}",
            draw.choices(["cat", "dog"], [9, 1])[0],
            path=f"{number:04}.png",
            split=draw.choice(official),
            group=draw.choice([None, None, f"group {draw.randrange(40)}"]),
            size=draw.choice([(32, 32), (40, 30), (4, 32), (300, 20)]),
        )
        for number in range(900)
    ]
    near = [(draw.randrange(450), draw.randrange(450, 900)) for _ in range(60)]
    findings = [
        Finding("quarantined", "truncated", f"bad/{number}.png", "cut off", "repair", label="cat")
        for number in range(draw.randrange(30))
    ]
    findings += [
        Finding("ignored", "hidden", f"{number}/.DS_Store", "a hidden file", "nothing to do")
        for number in range(draw.randrange(30))
    ]
    return rows, near, findings
