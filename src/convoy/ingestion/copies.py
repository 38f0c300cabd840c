"""The same image more than once: which file stays, and which are left out."""

from collections.abc import Iterable, Sequence
from itertools import groupby, islice

from convoy.findings import Finding
from convoy.ingestion.rows import Row

SHOWN = 10
"""Other files that one finding names."""

# What is tested on must not be trained on, so the copy that is tested on stays.
_PRECEDENCE = {"test": 0, "val": 1, "train": 2, None: 3}


def unique(rows: Sequence[Row], among: Iterable[int]) -> tuple[list[int], list[Finding]]:
    """Return the rows that stay, each image once, by content; and why the others leave.

    Of equal labels the copy in test stays, else in val, else in train, of these the one with the
    smallest path. Images with several labels leave altogether: one of them is wrong.
    """

    def content(row: int) -> bytes:
        return rows[row].content

    def precedence(row: int) -> tuple[int, str, str]:
        found = rows[row]
        return _PRECEDENCE[found.split], found.path, found.label

    kept: list[int] = []
    findings: list[Finding] = []
    for _, group in groupby(sorted(among, key=content), content):
        together = sorted(group, key=precedence)
        copies = [rows[row] for row in together]
        labels = sorted({copy.label for copy in copies})
        if len(labels) > 1:
            findings += (_contradiction(copy, copies, labels) for copy in copies)
        else:
            kept.append(together[0])
            findings += (_copy(copy, copies[0]) for copy in copies[1:])
    return kept, findings


def _copy(copy: Row, kept: Row) -> Finding:
    if copy.split is not None and copy.split != kept.split:
        return Finding(
            severity="duplicate",
            rule="leak",
            path=copy.path,
            reason=f"an image of {copy.split} that is in {kept.split} too, as {kept.path!r}",
            mend=f"nothing to do, it was left out of {copy.split}",
            others=(kept.path,),
            label=copy.label,
        )
    return Finding(
        severity="duplicate",
        rule="same-image",
        path=copy.path,
        reason=f"the same image as {kept.path!r}",
        mend="nothing to do, one of them is enough",
        others=(kept.path,),
        label=copy.label,
    )


def _contradiction(copy: Row, copies: Sequence[Row], labels: Sequence[str]) -> Finding:
    named = ", ".join(map(repr, labels[:SHOWN]))
    others = islice((other for other in copies if other is not copy), SHOWN)
    return Finding(
        severity="quarantined",
        rule="two-labels",
        path=copy.path,
        reason=f"labelled {copy.label!r}, but {len(copies)} copies of this image have "
        f"{len(labels)} labels: {named}",
        mend="keep it in the class that it shows and remove the other copies",
        others=tuple(other.path for other in others),
        label=copy.label,
    )
