"""What the gate judges by: the numbers of challenger and champion on the same test images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convoy.evaluation.significance import Paired


@dataclass(frozen=True)
class Scores:
    """One registered version on the images that were judged."""

    version: str
    accuracy: float
    recall: dict[str, float]
    """By class, of the classes that have images."""
    calibration_error: float
    microseconds_per_image: float
    parameters: int


@dataclass(frozen=True)
class Comparison:
    """The challenger against the champion."""

    champion: Scores
    left_out: int | None
    """Test images that the champion trained on; None where its version does not tell."""
    paired: Paired
    gain_low: float
    """What the gain is at least, by the paired bootstrap, as sure as the gate's alpha asks."""


@dataclass(frozen=True)
class Evidence:
    """All numbers that a verdict follows from."""

    dataset_version: str
    images: int
    """Test images that were judged."""
    support: dict[str, int]
    """Of these, by class."""
    challenger: Scores
    against: Comparison | None = None
    incomparable: str | None = None
    """Why there is no comparison although there is a champion."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evidence":
        """Return the evidence that `to_json` gave."""
        values = {**record, "challenger": Scores(**record["challenger"])}
        if against := record["against"]:
            parts = {
                "champion": Scores(**against["champion"]),
                "paired": Paired(**against["paired"]),
            }
            values["against"] = Comparison(**{**against, **parts})
        return cls(**values)
