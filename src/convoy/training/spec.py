"""What a training is told, and what it leaves behind."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from convoy import digests
from convoy.architectures import module_of
from convoy.files import read_json
from convoy.recipe import Precision, Recipe


class Beginning(BaseModel):
    """What any training begins with: a network, its recipe, a dataset version, a device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    recipe: Recipe
    seed: int
    dataset: str
    version: str
    """The digest of what a training sees of the dataset version."""
    files: dict[str, str]
    """The version's files by name, as paths to their immutable bytes."""
    weights: str | None = None
    """The file of the published weights that a recipe starts from."""
    device: str = "auto"
    reader: Literal["device", "disk"] | None = None
    """Where images are read from; None lets their size and the free memory decide."""
    deterministic: bool = False
    """Whether only operations are used that give the same bits each time."""


class TrainingSpec(Beginning):
    """One training, complete: the same spec gives the same training wherever it runs."""

    folder: str
    """Where checkpoints and results go; a training resumes from what it finds there."""
    devices: int = 1
    """How many devices train together, a process each."""
    compiled: bool | None = None
    """Whether a compiled network may be tried; None leaves it to what was measured of devices."""

    def key(self) -> str:
        """Return the digest of all that decides this training.

        Where it runs and what it reads from decide nothing.
        """
        decided = (self.architecture, self.recipe, self.seed, self.version)
        return training_key(*decided, self.deterministic)


def training_key(
    architecture: str, recipe: Recipe, seed: int, version: str, deterministic: bool = False
) -> str:
    """Return the digest of all that decides a training: code, settings, data and libraries."""
    modules = ("convoy.training.fit", module_of(architecture))
    values = recipe.model_dump(exclude={"weights": {"origin"}})  # whose sha256 decides
    parts: list[Any] = [architecture, values, seed, version, deterministic]
    return digests.values(digests.code(*modules), digests.libraries(), *parts)


Ended = Literal["epochs", "patience", "budget"]
"""Why a training has no more epochs."""


class TrainingResult(BaseModel):
    """What came of it. The file is written last, so where it stands the rest is whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    architecture: str
    weights_sha256: str
    best_epoch: int
    epochs: int
    val_loss: float
    val_accuracy: float
    seconds: float
    """Inside the fit, all its resumed parts together."""
    device: str
    precision: Precision
    """What products were computed in."""
    compiled: bool
    """Whether the network ran compiled at the end."""
    reader: Literal["device", "disk"]
    """Where images were read from."""
    parts: int
    """In how many parts each batch was taken: more than the recipe says where memory ran out."""
    ended: Ended


def finished(folder: Path) -> TrainingResult | None:
    """Return a folder's result if it is complete and its weights are the ones it speaks of."""
    found = read_json(folder / "result.json")
    weights = folder / "model.safetensors"
    if found is None or not weights.is_file():
        return None
    try:
        result = TrainingResult.model_validate(found)
    except ValueError:
        return None
    return result if digests.file(weights) == result.weights_sha256 else None


def history(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs that a training folder recorded."""
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]
