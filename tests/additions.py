"""A folder of photographs to add, what is asked for with it, and the entry that it became."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from convoy.addition import Wanted
from convoy.project import Project


def noise(seed: int, height: int = 40, width: int = 50, channels: int = 3) -> NDArray[np.uint8]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (height, width, channels), np.uint8)


def photographs(folder: Path, labels: str = "ab", count: int = 4, **size: int) -> Path:
    """Write images, a folder a class."""
    for place, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(noise(place * 100 + number, **size).squeeze())
            image.save(folder / label / f"{number}.png")
    return folder


def entry(project: Project, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(project.params.read_text())["datasets"][name]
    return found


def wanted(source: object, origin: str | None = None, **given: Any) -> Wanted:
    return Wanted(str(source), origin, given)
