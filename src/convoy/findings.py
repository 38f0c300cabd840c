"""What ingestion finds wrong with a dataset: about a file, or about the whole."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["ignored", "duplicate", "quarantined", "warning", "refused"]
"""What becomes of it.

`ignored`: a hidden or system file, no part of the dataset. `duplicate`: an image that is there
already, left out. `quarantined`: a file that is listed and left out; too many of them end the
ingestion. `warning`: worth knowing, nothing is left out. `refused`: the dataset cannot be ingested.
"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with what to do about it."""

    severity: Severity
    rule: str
    """A short name in kebab-case, the same for all of a kind: `truncated`, `same-image`."""
    path: str
    """The file, as its source names it; empty for a finding about the whole dataset."""
    reason: str
    """What is wrong, with the value that was found; no full stop."""
    mend: str
    """What to do about it, as an imperative; no full stop."""
    others: tuple[str, ...] = ()
    """Further files that it is about: the copies of a duplicate, for instance."""
    label: str = ""
    """The file's class, where it is known."""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.reason}: {self.mend}."

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "others": list(self.others)}


def counted(number: int, noun: str) -> str:
    """Return "1 image", "2,000 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
