"""Predictions for image files, through the same decoder and graph that evaluation scored."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from convoy.decoding import decode
from convoy.errors import DataRefused
from convoy.graph import load_exported


@dataclass(frozen=True)
class Prediction:
    """The most probable class of one file, or why the file was refused."""

    file: str
    label: str | None
    probability: float | None
    refused: str | None = None


def predict(model: Path, files: Iterable[Path]) -> list[Prediction]:
    """Return a prediction a file, for a registered model's verified folder.

    A file that cannot be read is listed with the reason; the others are predicted all the same.
    """
    found = next(model.rglob("architecture.json"))
    record = json.loads(found.read_text(encoding="utf-8"))
    graph = load_exported(model)
    predictions = []
    for file in files:
        try:
            pixels = decode(file, record["channels"], side=record["image_size"])
        except DataRefused as error:
            predictions.append(Prediction(str(file), None, None, str(error)))
            continue
        with torch.inference_mode():
            probabilities = graph(torch.from_numpy(pixels).unsqueeze(0))[0]
        best = int(probabilities.argmax())
        predictions.append(
            Prediction(str(file), record["classes"][best], float(probabilities[best]))
        )
    return predictions
