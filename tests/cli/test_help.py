"""`--help` answers at once: nothing heavy is imported for it, nor for a mistyped command."""

import re
import subprocess
import sys
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
