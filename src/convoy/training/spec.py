"""What a training is told, and what it leaves behind."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from convoy import digests
from convoy.architectures import module_of
from convoy.files import read_json
from convoy.settings import Recipe


class TrainingSpec(BaseModel):
    """One training, complete: the same spec gives the same training wherever it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    recipe: Recipe
    seed: int
    dataset: str
    version: str
    """The digest of what a training sees of the dataset version."""
    files: dict[str, str]
    """The version's files by name, as paths to their immutable bytes."""
    folder: str
    """Where checkpoints and results go; a training resumes from what it finds there."""
    device: str = "auto"


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


def training_key(architecture: str, recipe: Recipe, seed: int, version: str) -> str:
    """Return the digest of all that decides a training: code, settings, data and libraries."""
    modules = ("convoy.training.fit", module_of(architecture))
    parts: list[Any] = [architecture, recipe.model_dump(), seed, version]
    return digests.values(digests.code(*modules), digests.libraries(), *parts)


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
