"""`--help` answers at once: nothing heavy is imported for it, nor for a mistyped command."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from convoy.cli import app, data, team
from tests.terminal import convoy, environment

HEAVY = [
    "torch",
    "pytorch_lightning",
    "lightning",
    "mlflow",
    "prefect",
    "optuna",
    "pandas",
    "dvc",
    "numpy",
]


def commands(group: typer.Typer) -> list[str]:
    """The names of a group's own commands."""
    return sorted(
        str(c.name or c.callback.__name__) for c in group.registered_commands if c.callback
    )


HELPS = [
    ["--help"],
    ["data", "--help"],
    *([name, "--help"] for name in commands(app)),
    *(["data", name, "--help"] for name in commands(data.app)),
    *(["team", name, "--help"] for name in commands(team.app)),
]

CODE = f"""
import sys
from convoy.cli import main
try:
    main()
finally:
    sys.stderr.write(repr(sorted(set({HEAVY!r}) & set(sys.modules))))
"""


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_imports_none_of_the_heavy_libraries(repository: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=repository,
        env=environment(repository),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Usage" in done.stdout
    assert done.stderr == "[]"


def test_help_names_every_command_outside_of_a_project_too(
    repository: Path, tmp_path: Path
) -> None:
    for arguments, names in (([], [*commands(app), "data"]), (["data"], commands(data.app))):
        done = convoy(repository, *arguments, "--help", folder=tmp_path)
        assert done.code == 0
        for name in names:
            assert re.search(rf"^\W*{name}\b", done.out, re.M), name


def test_help_takes_well_under_a_second(repository: Path) -> None:
    """0.3 s on quiet cores; the fastest of some, since others may be at work here."""
    took = []
    for _ in range(4):
        began = time.perf_counter()
        convoy(repository, "--help")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.6
