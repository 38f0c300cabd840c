"""A training that nothing disturbed, for comparison."""

from pathlib import Path

import pytest
import torch

from convoy.training.fit import fit
from tests.training.trainings import a_spec, silent


@pytest.fixture(scope="module")
def unbroken(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing disturbed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken")
    fit(a_spec(tiny, folder), silent)
    torch.set_num_threads(before)
    return folder
