"""How a network's accuracy falls as its test images are harmed, by `corruptions`.

One number sums a curve up: the area under it from the images as they are to the strongest harm, as
a share of what it would be if nothing were lost. It is 1 for a network that does not mind, and what
a guess is worth for one that goes blind at once. Hendrycks and Dietterich (2019) divide errors by
those of AlexNet instead, which nobody has trained on a dataset of one's own.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convoy.evaluation.corruptions import CORRUPTIONS
from convoy.evaluation.intervals import CONFIDENCE, draws
from convoy.evaluation.reading import SplitImages
from convoy.graph import Graph
from convoy.seeds import seed_of

SEED = 1
"""Not a run's own: networks are compared on the same harmed images."""
BATCH = 256


@dataclass(frozen=True)
class Robustness:
    """Accuracies on images as they are and harmed; `relative` ones are shares of the clean area."""

    images: int
    clean: float
    accuracy: dict[str, list[float]]
    """By corruption, at each of its strengths."""
    relative: dict[str, float | None]
    """By corruption; None where no image is right as it is."""
    all: float | None
    """The mean of `relative`."""
    low: float | None
    high: float | None
    """The ends of its 95 % interval, by a bootstrap over the images."""

    def metrics(self) -> dict[str, float]:
        """Return `robust/<corruption>` and `robust/all`, where there are any."""
        named = {**self.relative, "all": self.all, "all_low": self.low, "all_high": self.high}
        return {f"robust/{name}": value for name, value in named.items() if value is not None}

    def curves(self) -> dict[str, list[float]]:
        """Return `robust/accuracy/<corruption>`: of the images as they are, then by strength."""
        return {
            f"robust/accuracy/{name}": [self.clean, *found] for name, found in self.accuracy.items()
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    graph: Graph, images: SplitImages, most: int, device: torch.device, batch_size: int = BATCH
) -> Robustness:
    """Score a network on the first `most` images of a split, as they are and in 35 ways harmed.

    The order of a split follows from the contents of its images, so its first ones are a sample by
    chance, and the same for all networks.
    """
    count = min(most, len(images))
    right = np.zeros((1 + len(CORRUPTIONS), _strengths(), count), dtype=bool)
    labels = torch.from_numpy(images.labels[:count])
    for start in range(0, count, batch_size):
        place = range(start, min(start + batch_size, count))
        batch = images.read(place).permute(0, 3, 1, 2).contiguous().to(device)
        expected = labels[start : place.stop].to(device)
        for row, strength, harmed in _harmed(batch, start):
            with torch.inference_mode():
                logits: Tensor = graph.network(graph.preprocessing.normalise(harmed))
            correct = (logits.argmax(dim=1) == expected).cpu().numpy()
            right[row, strength, start : place.stop] = correct
    return summary(right[0, 0], right[1:])


def _harmed(images: Tensor, start: int) -> Iterator[tuple[int, int, Tensor]]:
    """Yield images (N, C, H, W) as they are, row 0, then harmed: their row and place there."""
    yield 0, 0, images
    for row, corruption in enumerate(CORRUPTIONS.values(), 1):
        drawn = torch.Generator().manual_seed(seed_of(SEED, row, start))
        changed = corruption.change(images, corruption.strengths, drawn)
        for strength, harmed in enumerate(changed):
            yield row, strength, harmed


def samples(image: Tensor) -> dict[str, Tensor]:
    """Return one image (1, H, W, C) uint8 as it is and at each strength, (6, H, W, C) each."""
    found: dict[str, Tensor] = {}
    planes = image.permute(0, 3, 1, 2).contiguous()
    names = (None, *CORRUPTIONS)
    for row, _, harmed in _harmed(planes, 0):
        if name := names[row]:
            found[name] = torch.cat([found.get(name, image), harmed.permute(0, 2, 3, 1)])
    return found


def summary(clean: NDArray[np.bool_], harmed: NDArray[np.bool_]) -> Robustness:
    """Sum up which images (N,) are right as they are, and which (corruptions, strengths, N) harmed.

    `ValueError` for no images.
    """
    if not len(clean):
        raise ValueError("robustness takes at least one image")
    curves = np.concatenate([np.broadcast_to(clean, (len(harmed), 1, len(clean))), harmed], axis=1)
    accuracy = curves.mean(axis=2)
    areas = _areas(accuracy)
    names = list(CORRUPTIONS)
    low, high = _interval(curves)
    return Robustness(
        images=len(clean),
        clean=float(clean.mean()),
        accuracy={name: found[1:].tolist() for name, found in zip(names, accuracy, strict=True)},
        relative={
            name: None if np.isnan(area) else float(area)
            for name, area in zip(names, areas, strict=True)
        },
        all=None if np.isnan(areas).any() else float(areas.mean()),
        low=low,
        high=high,
    )


def _areas(curves: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the areas (...) under curves (..., 1 + strengths), by the clean one; NaN for none."""
    clean = curves[..., 0]
    areas = np.trapezoid(curves, axis=-1) / (curves.shape[-1] - 1)
    found = np.full(clean.shape, np.nan)
    np.divide(areas, clean, out=found, where=clean > 0)
    return found


def _interval(curves: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean area: percentiles over samples of the images."""
    *shape, count = curves.shape
    right = curves.reshape(-1, count).astype(np.float64)
    means = np.concatenate(
        [
            _areas((right @ weights / count).T.reshape(-1, *shape)).mean(axis=1)
            for weights in draws(count)
        ]
    )
    if count < 2 or np.isnan(means).any():
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _strengths() -> int:
    return max(len(corruption.strengths) for corruption in CORRUPTIONS.values())
