"""`--help` answers at once: nothing heavy is imported for it, nor for a mistyped command."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convoy.cli import app
from tests.terminal import convoy, environment

HEAVY = ("torch", "pytorch_lightning", "lightning", "mlflow", "prefect", "pandas", "dvc", "numpy")
COMMANDS = sorted(str(c.name or c.callback.__name__) for c in app.registered_commands if c.callback)

CODE = f"""
import sys
from convoy.cli import main
try:
    main()
finally:
    sys.stderr.write(repr(sorted(set({HEAVY!r}) & set(sys.modules))))
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
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
    done = convoy(repository, "--help", folder=tmp_path)
    assert done.code == 0
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", done.out)


def test_help_takes_well_under_a_second(repository: Path) -> None:
    """0.3 s on quiet cores; the fastest of some, since others may be at work here."""
    took = []
    for _ in range(4):
        began = time.perf_counter()
        convoy(repository, "--help")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.6
