"""What Prefect's server takes for what Convoy asks, at 10, 1,000 and 100,000 flow runs.

    python -m benchmarks.growing_prefect [RESULT.json] [--sizes 10,1000,100000] [--backends sqlite]

A flow of ten tasks that do nothing, as many as a pipeline of one network has, runs once on the
server. Its rows, of tasks, states and log too, are then copied inside the database, by SQL and with
the server stopped, each run with ids of its own and a minute before the last one. Events are left
out: Prefect deletes its old ones by itself. Every call is timed against the server that is started
on that database.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, create_engine, inspect, text

from benchmarks.growing import SIZES, median, megabytes, memory
from benchmarks.rows import Row, keep
from convoy.prefect_api import PrefectApi
from tests.prefect_servers import deployed, runs, serving
from tests.servers import postgresql

PROGRAM = """
from prefect import flow, get_run_logger, task

@task
def nothing():
    get_run_logger().info("train lenet5: epoch 1/20, loss 1.0000, validation accuracy 90.00%")

@flow(name="pipeline")
def pipeline():
    for _ in range(10):
        nothing()

pipeline()
"""
TABLES = {
    "flow_run": (("id", "state_id"), "id = :run"),
    "flow_run_state": (("id", "flow_run_id"), "flow_run_id = :run"),
    "task_run": (("id", "flow_run_id", "state_id"), "flow_run_id = :run"),
    "task_run_state": (
        ("id", "task_run_id"),
        "task_run_id in (select id from task_run where flow_run_id = :run)",
    ),
    "log": (("id", "flow_run_id", "task_run_id"), "flow_run_id = :run"),
}
"""By table: the columns with ids of one run, and its rows."""
TIMES = ("start_time", "end_time", "expected_start_time", "state_timestamp")
"""Of flow runs, when they were; what tasks say of it nobody sorts by."""


def main(arguments: list[str]) -> int:
    """Measure, print a table, keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growing_prefect")
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--backends", default="sqlite,postgresql")
    told = parser.parse_args(arguments)
    sizes = [int(size) for size in told.sizes.split(",")]
    rows: list[Row] = []
    for backend in told.backends.split(","):
        for row in _measure(backend, sizes):
            row.show()
            rows.append(row)
    if told.result:
        keep(told.result, "python -m benchmarks.growing_prefect", rows, sizes=sizes)
    return 0


def _measure(backend: str, sizes: list[int]) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convoy-growing-")))
        uri = f"sqlite:///{folder / 'prefect.db'}"
        if backend == "postgresql":
            uri = stack.enter_context(postgresql())
            servers = f"postgresql+asyncpg://{uri.partition('://')[2]}"
            os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = servers
            stack.callback(os.environ.pop, "PREFECT_API_DATABASE_CONNECTION_URL")
        with serving(folder) as server:
            deployment = deployed(server, "pipeline", "nightly")
            subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True)
            template = logged(server)
        there = 0
        for size in sizes:
            began = time.monotonic()
            grow(uri, template, there, size)
            there = size
            detail = {"runs": size, "seconds to copy": round(time.monotonic() - began, 1)}
            name = f"{backend}, {size:,} flow runs"
            began = time.monotonic()
            with serving(folder) as server:
                yield Row(f"{name}: start the server, s", time.monotonic() - began, detail=detail)
                for call, ask in _calls(server, deployment, template).items():
                    yield Row(f"{name}: {call}, ms", median(ask), detail=detail)
                yield Row(f"{name}: database, MB", megabytes(uri), detail=detail)
                yield Row(f"{name}: memory of the server, MB", memory(_pid()), detail=detail)


def logged(server: PrefectApi) -> str:
    """Return the one flow run that there is, once its tasks and its log have arrived."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (run,) = runs(server)
        tasks = server.ask("POST", "/task_runs/filter", _of(run["id"], "flow_runs", "id"))
        lines = server.ask("POST", "/logs/filter", _of(run["id"], "logs", "flow_run_id"))
        if [one["state_type"] for one in tasks] == ["COMPLETED"] * 10 and len(lines) >= 20:
            return str(run["id"])
        time.sleep(1)
    raise SystemExit("the flow run did not arrive")


def _of(run: str, what: str, key: str) -> dict[str, Any]:
    return {what: {key: {"any_": [run]}}}


def grow(uri: str, template: str, there: int, size: int) -> None:
    """Copy the run until there are `size`."""
    engine = create_engine(uri)
    columns = {
        table: [one["name"] for one in inspect(engine).get_columns(table)] for table in TABLES
    }
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # A run names its state, and the state its run.
            connection.execute(text("set session_replication_role = replica"))
        else:
            connection.execute(text("pragma cache_size = -6000000"))  # kB: random ids in memory
        connection.execute(text("create temporary table fresh (head varchar(8), place integer)"))
        numbers = range(there + 1, size + 1)
        fresh = [{"head": f"{n * 2654435761 % 2**32:08x}", "place": n} for n in numbers]
        for begin in range(0, len(fresh), 10_000):
            part = fresh[begin : begin + 10_000]
            connection.execute(text("insert into fresh values (:head, :place)"), part)
        for table, named in columns.items():
            _copy(connection, table, named, template)
        connection.execute(text("drop table fresh"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))  # as a database's own housekeeping does
    engine.dispose()


def _copy(connection: Connection, table: str, columns: list[str], template: str) -> None:
    ids, rows = TABLES[table]
    postgres = connection.dialect.name == "postgresql"
    kind = "uuid" if postgres else "varchar"

    def value(column: str) -> str:
        if column in ids:
            return f"cast(fresh.head || substr(cast({column} as varchar), 9) as {kind})"
        if table == "flow_run" and column in TIMES and postgres:
            return f"{column} - fresh.place * interval '1 minute'"
        if table == "flow_run" and column in TIMES:
            return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-' || fresh.place || ' minutes')"
        return column

    listed = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(value(column) for column in columns)
    query = f"insert into {table} ({listed}) select {values} from {table}, fresh where {rows}"
    connection.execute(text(query.replace(":run", f"cast(:run as {kind})")), {"run": template})


def _calls(server: PrefectApi, deployment: str, run: str) -> dict[str, Callable[[], object]]:
    """Return what is asked of a server, by what it is for."""
    flow = server.ask("GET", f"/deployments/{deployment}")["flow_id"]
    now = datetime.now(UTC)
    week = {"history_start": (now - timedelta(days=7)).isoformat(), "history_end": now.isoformat()}
    at_work = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    due = {"deployment_ids": [deployment], "scheduled_before": now.isoformat(), "limit": 8}
    newest = {"sort": "START_TIME_DESC", "limit": 50}

    def begin_and_end() -> None:
        body = {"flow_id": flow, "state": {"type": "PENDING"}}
        begun = server.ask("POST", "/flow_runs/", body)["id"]
        for state in ("RUNNING", "COMPLETED"):
            server.ask("POST", f"/flow_runs/{begun}/set_state", {"state": {"type": state}})

    def asking(path: str, body: dict[str, Any]) -> Callable[[], object]:
        return lambda: server.ask("POST", path, body)

    return {
        "begin and end a flow run": begin_and_end,
        "what is at work": asking("/flow_runs/filter", {"flow_runs": at_work}),
        "what is due": asking("/deployments/get_scheduled_flow_runs", due),
        "the tasks of a run": asking("/task_runs/filter", _of(run, "flow_runs", "id")),
        "the log of a run": asking("/logs/filter", _of(run, "logs", "flow_run_id")),
        "the runs' page, newest 50": asking("/flow_runs/filter", newest),
        "how many runs there are": asking("/flow_runs/count", {}),
        "the dashboard's week": asking(
            "/flow_runs/history", {**week, "history_interval_seconds": 6 * 3600}
        ),
    }


def _pid() -> int:
    """Return the process of the server that this one has started."""
    for child in psutil.Process().children():
        if "prefect.server.api.server:create_app" in child.cmdline():
            return int(child.pid)
    raise LookupError("no server")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
