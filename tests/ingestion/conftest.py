"""A place to prepare a dataset at, and what is decoded there."""

from pathlib import Path

import pytest

from convoy.decoding import Channels, decode
from convoy.ingestion import decoded as decoding
from tests.ingestion.places import Pixels, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that are decoded."""
    names: list[str] = []

    def noted(data: bytes, channels: Channels, name: str = "") -> Pixels:
        names.append(name)
        return decode(data, channels, name)

    monkeypatch.setattr(decoding, "decode", noted)
    return names
