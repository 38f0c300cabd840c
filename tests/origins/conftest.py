"""A raw folder for the tests of origins."""

from pathlib import Path

import pytest

from tests.origins.held import Held


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held.at(tmp_path / "held")
