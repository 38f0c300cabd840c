"""Clones for the command line, each made once: one without data, one with a first champion."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.clones import copy_of
from tests.conftest import Once
from tests.terminal import convoy, git


@pytest.fixture(scope="session")
def served(_ready: Path, once: Once) -> Path:
    """A clone after a short run: one version, the champion.

    All tests share it, those of other processes too, and leave it as it is.
    """
    return once("served", partial(_serve, _ready))


def _serve(ready: Path, root: Path) -> None:
    shutil.copytree(ready, root)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["run"]["architectures"] = ["mlp"]
    params["recipes"]["mlp"]["epochs"] = 4
    params["evaluation"]["robustness"] = 8  # each image is scored 35 times
    # A few epochs leave a network unsure of itself.
    params["gate"] |= {"floor": 0.5, "class_floor": 0.0, "calibration": 1.0}
    # In the file's order: dvc.lock records a dataset's values as they stand there.
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "--quiet", "--all", "--message", "Short recipes")
    done = convoy(root, "run")
    assert done.code == 0, done.err


@pytest.fixture
def mine(served: Path, tmp_path: Path) -> Path:
    """A copy of that project which a test may change, its store and artifacts too."""
    return copy_of(served, tmp_path / "project")


@pytest.fixture
def bare(_clone: Path, tmp_path: Path) -> Iterator[Path]:
    """A fresh clone that nothing has run in."""
    root = tmp_path / "bare"
    shutil.copytree(_clone, root)
    yield root
