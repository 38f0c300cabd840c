"""The real command line, run as a person runs it: a process of its own, in a project's folder."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = ("PREFECT_", "MLFLOW_", "DVC_", "CONVOY_", "MPLCONFIGDIR")
"""Variables that Convoy fills in: a process begins without them, whatever other tests have set."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """What `convoy` said on standard error, which has to be one line without a traceback."""
        assert "Traceback" not in self.out + self.err, self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("convoy: "), self.err
        return lines[0].removeprefix("convoy: ")


def environment(root: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a process that runs the code of the project at `root`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", **(more or {})}


def convoy(
    root: Path,
    *arguments: str,
    folder: Path | None = None,
    before: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> Done:
    """Run `convoy` with the project's own code; `before` is a command that starts it."""
    command = [*before, sys.executable, "-m", "convoy", *arguments]
    done = subprocess.run(
        command,
        cwd=folder or root,
        env=environment(root, more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def git(root: Path, *arguments: str) -> str:
    """Run Git in a project; return what it says."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
