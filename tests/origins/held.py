"""A raw folder of the source `files` for tests: fetched from origins, read as people would."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convoy.findings import Finding
from convoy.settings import Dataset
from convoy.sources.files import SOURCE
from convoy.sources.source import Encoded, LabelledImage


def dataset(**settings: Any) -> Dataset:
    """Return a dataset of the source `files`."""
    values = {"source": "files", "model": "own", "channels": "rgb", "image_size": 32}
    return Dataset.model_validate(values | {"val": 0.1, "test": 0.1} | settings)


def write(folder: Path, *paths: str) -> Path:
    """Write a file at each path, which holds its own name; return the folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Held:
    """What a project holds of a dataset: its raw folder, and what it remembers."""

    raw: Path
    memory: Path

    @classmethod
    def at(cls, root: Path) -> "Held":
        for name in ("raw", "memory"):
            (root / name).mkdir(parents=True)
        return cls(root / "raw", root / "memory")

    def fetch(self, *origins: Path | str) -> "Held":
        SOURCE.fetch(dataset(), tuple(map(str, origins)), self.raw, self.memory)
        return self

    def read(self, **settings: Any) -> Iterator[LabelledImage | Finding]:
        return SOURCE.read(dataset(**settings), self.raw)

    def images(self, **settings: Any) -> dict[str, tuple[bytes, str, str | None]]:
        """Return the bytes, label and split of each image, by its path."""
        found: dict[str, tuple[bytes, str, str | None]] = {}
        for image in self.read(**settings):
            if isinstance(image, LabelledImage):
                assert isinstance(image.image, Encoded)
                content = image.image.read()
                assert hashlib.sha256(content).digest() == image.image.digest
                found[image.path] = (content, image.label, image.split)
        return found

    def labels(self, **settings: Any) -> dict[str, str]:
        return {path: label for path, (_, label, _) in self.images(**settings).items()}

    def contents(self) -> dict[str, bytes]:
        return {path: content for path, (content, _, _) in self.images().items()}

    def findings(self, **settings: Any) -> list[tuple[str, str, str]]:
        """Return the severity, rule and path of each finding."""
        found = [one for one in self.read(**settings) if isinstance(one, Finding)]
        return [(one.severity, one.rule, one.path) for one in found]
