"""A place where a dataset comes in and is prepared, images to put there, and what is read back."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convoy import shards
from convoy.datamodule import read_split
from convoy.ingestion.fetch import fetch
from convoy.ingestion.prepare import files_of, prepare
from convoy.settings import Checks, Dataset
from convoy.splits import SPLITS
from tests.ingestion.animals import CHECKS

Pixels = NDArray[np.uint8]


@dataclass
class Place:
    """Where a dataset comes in, and what is made of it."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def prepared(self) -> Path:
        return self.root / "prepared"

    @property
    def files(self) -> dict[str, str]:
        return files_of(self.prepared)

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.prepared / "manifest.json").read_text())
        return found

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.prepared / "report.json").read_text())
        return found

    def dataset(self, **settings: Any) -> Dataset:
        values = {"source": "files", "model": "m", "channels": "gray", "image_size": 8}
        shares = {"val": 0.2, "test": 0.2}
        return Dataset.model_validate(values | shares | self.settings | settings)

    def write(self, images: dict[str, Pixels]) -> None:
        for path, pixels in images.items():
            (self.photos / path).parent.mkdir(parents=True, exist_ok=True)
            (self.photos / path).write_bytes(encoded(pixels))

    def ingest(self, *origins: Path, checks: Checks = CHECKS, **settings: Any) -> "Place":
        """Fetch from the origins, or from the folder of photos, and prepare."""
        dataset = self.dataset(**settings)
        places = tuple(map(str, origins or (self.photos,)))
        fetch(dataset, places, self.root / "raw", self.root / "memory")
        return self.prepare(checks, **settings)

    def prepare(self, checks: Checks = CHECKS, **settings: Any) -> "Place":
        reports = self.root / "reports"
        raw = self.root / "raw"
        prepare("animals", self.dataset(**settings), checks, raw, self.prepared, reports)
        return self

    def known(self) -> dict[bytes, shards.Stored]:
        return {one.content: one for one in shards.places(self.files).stored}

    def arrays(self) -> list[str]:
        return sorted(name for name in self.files if name.endswith(".npy") and "near" not in name)


def encoded(pixels: Pixels, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[pixels.shape[2]]
    Image.fromarray(flat, mode).save(stream, form)
    return stream.getvalue()


def drawn(count: int, side: int = 12, channels: int = 1, seed: int = 0) -> list[Pixels]:
    draw = np.random.default_rng(seed)
    return list(draw.integers(0, 256, (count, side, side, channels), np.uint8))


def named(images: list[Pixels], start: int = 0) -> dict[str, Pixels]:
    """Images of two classes by the paths of their files."""
    return {f"{n % 2}/{n:05}.png": image for n, image in enumerate(images, start)}


def order(place: Place) -> list[list[bytes]]:
    return [
        [shards.digest(image) for image in read_split(place.files, split)[0].numpy()]
        for split in SPLITS
    ]


def whole(place: Place) -> None:
    """Check what training reads against the digest of the manifest."""
    manifest, where = place.manifest, shards.places(place.files)
    lines: Iterator[tuple[bytes, bytes]] = (
        (
            where.stored[number].content,
            b"\0".join(
                (
                    where.stored[number].content,
                    shards.digest(image),
                    f"{split}\0{manifest['classes'][label]}\n".encode(),
                )
            ),
        )
        for split in SPLITS
        for number, image, label in zip(
            where.of(split), *(part.numpy() for part in read_split(place.files, split)), strict=True
        )
    )
    form = [manifest["channels"], manifest["image_size"], manifest["classes"]]
    found = hashlib.sha256(json.dumps(form).encode())
    for _, line in sorted(lines):
        found.update(line)
    assert found.hexdigest() == manifest["digest"]


def damaged_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
