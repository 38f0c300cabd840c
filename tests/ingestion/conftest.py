"""A place to prepare a dataset at, and what is decoded there."""

from pathlib import Path

import pytest

from convoy.decoding import Channels, FileImage, read
from convoy.ingestion import decoded as decoding
from tests.ingestion.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that are decoded."""
    names: list[str] = []

    def noted(data: bytes, channels: Channels, name: str, side: int) -> FileImage:
        names.append(name)
        return read(data, channels, name, side)

    monkeypatch.setattr(decoding, "read", noted)
    return names
