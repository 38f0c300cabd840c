"""Images too small or too large to be what they should, and those unlike the others in size."""

from collections.abc import Sequence

import numpy as np

from convoy.findings import Finding, counted
from convoy.ingestion.rows import Row
from convoy.settings import Checks

LONGEST = 4
"""The aspect ratio beyond which an image is odd."""
EXAMPLES = 5


def admitted(rows: Sequence[Row], checks: Checks) -> tuple[list[int], list[Finding]]:
    """Return the rows whose size is allowed, and why the others leave."""
    allowed: list[int] = []
    findings: list[Finding] = []
    for number, row in enumerate(rows):
        if min(row.width, row.height) < checks.smallest:
            findings.append(
                _quarantined(
                    row,
                    "too-small",
                    f"fewer than {checks.smallest} pixels on its shorter side",
                    "replace it with a larger copy, or lower checks.smallest in params.yaml",
                )
            )
        elif row.width * row.height > checks.largest:
            findings.append(
                _quarantined(
                    row,
                    "too-large",
                    f"more than {checks.largest:,} pixels",
                    "make it smaller, or raise checks.largest in params.yaml",
                )
            )
        else:
            allowed.append(number)
    return allowed, findings


def odd(rows: Sequence[Row]) -> list[Finding]:
    """Return one warning about images that are long and thin, or far from the others in size.

    Size is the square root of the pixels; far is three interquartile ranges beyond the quartiles
    (cleanvision's `odd_size`).
    """
    if not rows:
        return []
    sides = np.array([(row.width, row.height) for row in rows], np.float64)
    size = np.sqrt(sides.prod(axis=1))
    low, middle, high = np.quantile(size, (0.25, 0.5, 0.75))
    # Where most images have one size, a few pixels more are nothing odd.
    far = max(3 * (high - low), middle / 2)
    thin = sides.max(axis=1) > LONGEST * sides.min(axis=1)
    strange = thin | (size < low - far) | (size > high + far)
    found = sorted(
        (row for row, is_strange in zip(rows, strange.tolist(), strict=True) if is_strange),
        key=lambda row: row.path,
    )
    if not found:
        return []
    shown = ", ".join(f"{row.path!r} ({row.width} x {row.height})" for row in found[:EXAMPLES])
    return [
        Finding(
            severity="warning",
            rule="odd-size",
            path="",
            reason=f"{counted(len(found), 'image')} of unusual form or size (the others are about "
            f"{middle:,.0f} pixels a side): {shown}",
            mend="look at them, they may not be what the others are",
            others=tuple(row.path for row in found[:EXAMPLES]),
        )
    ]


def _quarantined(row: Row, rule: str, reason: str, mend: str) -> Finding:
    return Finding(
        severity="quarantined",
        rule=rule,
        path=row.path,
        reason=f"{row.width} x {row.height} pixels, {reason}",
        mend=mend,
        label=row.label,
    )
