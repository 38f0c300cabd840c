"""The whole pipeline on digits, against a plain loop: first, later and unchanged runs, start-up.

    python -m benchmarks.pipeline [RESULT.json]

Works in a fresh clone in a temporary folder with its own state, so it begins with no database.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.processes import measure

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 5
BOUNDS = {
    "first run, s": 300,
    "later run, s": 240,
    "unchanged run, s": 3,
    "--help, s": 0.3,
    "first overhead, s": 45,
    "later overhead, s": 25,
    "peak memory, MiB": 3072,
}


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where a bound is passed."""
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        found = _measure(clone)
    for name, bound in BOUNDS.items():
        mark = "ok" if found["measured"][name] <= bound else "OVER THE BOUND"
        print(f"{name:<22} {found['measured'][name]:>9.2f}   at most {bound:<6} {mark}")
    print(f"{'pipeline / plain loop':<22} {found['ratio']:>9.2f}")
    for row in found["rows"]:
        print(f"{row['architecture']:<10} test {row['test_accuracy']:.2%}  {row['seconds']:.1f} s")
    if result:
        result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(found["measured"][name] > bound for name, bound in BOUNDS.items()))


def _measure(clone: Path) -> dict[str, Any]:
    environ = {**os.environ, "PYTHONPATH": f"{clone / 'src'}{os.pathsep}{clone}"}
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"):
        environ.pop(name, None)
    convoy = [sys.executable, "-m", "convoy"]
    first = measure([*convoy, "run", "--json"], clone, environ)
    unchanged = [measure([*convoy, "run", "--json"], clone, environ) for _ in range(REPEATS)]
    assert all(json.loads(run.output)["unchanged"] for run in unchanged)
    later = measure([*convoy, "run", "--json", "--set", "run.seed=2"], clone, environ)
    plain = measure([sys.executable, "-m", "benchmarks.plain_loop"], clone, _plain(environ))
    helped = [measure([*convoy, "--help"], clone, environ) for _ in range(REPEATS)]
    before, after = json.loads(first.output), json.loads(later.output)
    fits = sum(json.loads(plain.output).values())
    return {
        "command": "python -m benchmarks.pipeline",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, torch {version('torch')}",
        "measured": {
            "first run, s": first.seconds,
            "later run, s": later.seconds,
            "unchanged run, s": statistics.median(run.seconds for run in unchanged),
            "--help, s": statistics.median(run.seconds for run in helped),
            "first overhead, s": first.seconds - before["fit_seconds"],
            "later overhead, s": later.seconds - after["fit_seconds"],
            "peak memory, MiB": max(first.peak_mib, later.peak_mib),
        },
        "fits of the first run, s": before["fit_seconds"],
        "fits of the later run, s": after["fit_seconds"],
        "fits of the plain loop, s": fits,
        "ratio": later.seconds / fits,
        "rows": before["rows"],
        "rows of the later run (seed 2)": after["rows"],
    }


def _plain(environ: dict[str, str]) -> dict[str, str]:
    """The same binding of threads that Convoy's own trainings have."""
    return {**environ, "OMP_PROC_BIND": "true"}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
