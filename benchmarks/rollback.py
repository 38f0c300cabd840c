"""A rollback by the real command line, from its start to its exit, against MLflow's own start.

    python -m benchmarks.rollback [RESULT.json]

Embedded (SQLite and files) and on an MLflow server on PostgreSQL; the version that comes back is
verified file by file, as it is for people. By turns with `mlflow --version`, which does nothing.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import measure
from benchmarks.rows import Row, keep

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 5
BOUND = 5.0
"""Seconds that a rollback may take."""
BYTES = 20 * 2**20
"""Of each version's graph, about what `resnet18` takes in bfloat16."""

# Two versions that verify, by a process that has the store's address as the commands have it.
MAKE = f"""
import os
from pathlib import Path
from convoy import environment, promotion, store
from convoy.project import Project
from convoy import registry
project = Project(Path.cwd())
environment.apply(project)
project.create_state()
from tests.stores import add_whole_version
client = store.connect(project)
for key in ("one", "two"):
    number = add_whole_version(project, client, "digits", key, {{}}, os.urandom({BYTES}))
    promotion.promote(client, "digits", number, "made")
"""


def main(result: Path | None) -> int:
    """Measure both set-ups, print the rows, keep them; return 1 where a bound is passed."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch, ExitStack() as opened:
        for name in ("embedded", "server on PostgreSQL"):
            more = {} if name == "embedded" else _server(opened, Path(scratch) / "mlflow")
            rows += _measured(name, Path(scratch) / name.split()[0], more)
    for row in rows:
        row.show()
    if result:
        keep(result, "python -m benchmarks.rollback", rows)
    return int(not all(row.holds for row in rows))


def _server(opened: ExitStack, folder: Path) -> Mapping[str, str]:
    from tests.servers import mlflow_server, postgresql

    backend = opened.enter_context(postgresql())
    address = opened.enter_context(mlflow_server(folder, backend))
    return {"MLFLOW_TRACKING_URI": address, "NO_PROXY": "127.0.0.1"}


def _measured(name: str, clone: Path, more: Mapping[str, str]) -> list[Row]:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))}
    environ = {**kept, "PYTHONPATH": f"{clone / 'src'}{os.pathsep}{clone}", **more}
    convoy = [sys.executable, "-m", "convoy"]
    again = [*convoy, "promote", "digits", "2", "--force", "--reason", "again", "--json"]
    measure([sys.executable, "-c", MAKE], clone, environ)
    took, peer = [], []
    for turn in range(REPEATS):
        if turn:
            measure(again, clone, environ)
        back = measure([*convoy, "rollback", "digits", "--json"], clone, environ)
        assert json.loads(back.output)["version"] == "1", back.output
        took.append(back.seconds)
        version = [sys.executable, "-m", "mlflow", "--version"]
        peer.append(measure(version, clone, environ).seconds)
    seconds, start = statistics.median(took), statistics.median(peer)
    return [
        Row(f"rollback, {name}, s", seconds, BOUND, detail={"all": took}),
        Row(f"rollback, {name}, times `mlflow --version`", seconds / start, detail={"peer": peer}),
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
