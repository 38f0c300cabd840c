"""An environment that has mlflow and torch with what they need, and nothing of Convoy's."""

import os
import subprocess
import sys
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def make(folder: Path, *names: str) -> Path:
    """Create a virtual environment of links to the installed `names` and what they require.

    Returns its Python. Nothing is downloaded, and nothing else of this environment is there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (place,) = folder.glob("lib/python3*/site-packages")
    python = folder / "bin" / "python"
    for found in required(names).values():
        _link(found, place)
        for script in found.entry_points.select(group="console_scripts"):
            _write_script(python, script)
    return python


def required(names: tuple[str, ...]) -> dict[str, Distribution]:
    """Return the installed distributions that `names` require, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-").replace(".", "-")
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # one that this platform does not take
            continue
        wanted = map(Requirement, found[name].requires or ())
        waiting += [r.name for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def _link(found: Distribution, place: Path) -> None:
    tops = {Path(str(file)).parts[0] for file in found.files or () if ".." not in file.parts}
    for top in tops - {"__pycache__"}:
        target = Path(str(found.locate_file(top)))
        # Two distributions may share a folder (`google`, say): then what is in it is linked.
        link = place / top
        if link.is_symlink() and link.resolve() != target.resolve():
            continue
        if not link.exists():
            link.symlink_to(target)


def _write_script(python: Path, script: EntryPoint) -> None:
    """Write a command as pip does: with this Python, whatever else is on the path."""
    call = f"import sys\nfrom {script.module} import {script.attr}\nsys.exit({script.attr}())\n"
    file = python.with_name(script.name)
    file.write_text(f"#!{python}\n{call}")
    file.chmod(0o755)


def environment(python: Path, tracking_uri: str) -> dict[str, str]:
    """Return the variables of a process there: code execution and pickles are switched off."""
    return {
        "PATH": f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(python.parents[1]),
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
