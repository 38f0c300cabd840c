"""Four trainings on two workers against one after another, and what a task costs.

    python -m benchmarks.engine [RESULT.json]

Trainings: the same run of the pipeline with few epochs, twice in a fresh clone, with
`CONVOY_ENGINE=local` and with `dask:2`, after a run that made the databases; the seeds differ, so
that nothing is kept. On two cores, where one of these trainings alone has both at work, the bound
of 1.2 is missed: what is seen is what the engine costs. Tasks: a trivial one of Prefect's own,
Convoy's around the same nothing, and the trivial one on the workers, by turns in one flow.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.processes import measure
from benchmarks.rows import Row, keep

ROOT = Path(__file__).resolve().parent.parent
FOUR = ("alexnet", "zfnet", "vgg11_bn", "resnet20")
EPOCHS = 4
TURNS = 2


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where a bound is passed."""
    with tempfile.TemporaryDirectory(prefix="convoy-engine-") as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environ = _environ(clone)
        rows = [*_trainings(clone, environ), *_tasks(clone, environ)]
    for row in rows:
        row.show()
    if result:
        keep(
            result,
            "python -m benchmarks.engine",
            rows,
            architectures=FOUR,
            epochs=EPOCHS,
            turns=TURNS,
        )
    return int(not all(row.holds for row in rows))


def _environ(clone: Path) -> dict[str, str]:
    environ = {**os.environ, "PYTHONPATH": f"{clone / 'src'}{os.pathsep}{clone}"}
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME", "CONVOY_ENGINE"):
        environ.pop(name, None)
    return environ


def _trainings(clone: Path, environ: dict[str, str]) -> list[Row]:
    _run(clone, environ, 1, "mlp")
    taken: dict[str, list[float]] = {"local": [], "dask:2": []}
    waited: list[float] = []
    for turn in range(TURNS):
        for place, (engine, seconds) in enumerate(taken.items()):
            seed = 10 + 2 * turn + place
            found = _run(clone, {**environ, "CONVOY_ENGINE": engine}, seed, *FOUR)
            seconds.append(found["wall"])
            if engine != "local":
                waited.append(found["fit_seconds"])
    alone, together = (statistics.median(seconds) for seconds in taken.values())
    return [
        Row("four trainings one after another, the whole run, s", alone, detail=dict(taken)),
        Row("four trainings on two workers, the whole run, s", together),
        Row("of them on the workers, s", statistics.median(waited)),
        Row("one after another / on two workers", alone / together, 1.2, least=True),
    ]


def _run(clone: Path, environ: dict[str, str], seed: int, *names: str) -> dict[str, Any]:
    short = (f"--set=recipes.{name}.epochs={EPOCHS}" for name in names)
    told = ["--architectures", ",".join(names), f"--set=run.seed={seed}", *short]
    command = [sys.executable, "-m", "convoy", "run", "--json", *told]
    done = measure(command, clone, environ)
    return {**json.loads(done.output), "wall": done.seconds}


def _tasks(clone: Path, environ: dict[str, str]) -> list[Row]:
    done = measure([sys.executable, "-m", "benchmarks.engine_tasks"], clone, environ)
    found: dict[str, float] = json.loads(done.output.splitlines()[-1])
    trivial = found["Prefect's own trivial task, ms"]
    rows = [Row(name, value) for name, value in found.items()]
    ours = found["Convoy's task around nothing, ms"]
    return [*rows, Row("Convoy's task / Prefect's own", ours / trivial, 1.5)]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
