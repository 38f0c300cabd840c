"""What Convoy's calls cost when there are 10, 1,000 and 100,000 runs, on a real MLflow server.

    python -m benchmarks.growing [RESULT.json] [--sizes 10,1000,100000] [--backends embedded]

A short fake training is logged through Convoy's own functions. Its rows, and those of a version and
of a promotion, are then copied inside the database, by SQL, until there are as many as wanted: a
row is as wide and as indexed as one that was logged, and only the ids, keys and times differ. Every
call is timed against a real `mlflow server` on that database, with the most runs once more behind
two indexes; `embedded` is the file that Convoy opens itself where no server is named.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from benchmarks.growth import Store, grow
from benchmarks.rows import Row, keep
from convoy import journal, lookup, registry, tracking
from convoy.client import Client
from tests.servers import free_port, postgresql, start_mlflow, stop

REPEATS = 5
INDEXES = (
    "create index convoy_key on tags (value, run_uuid) where key = 'convoy.key'",
    "create index convoy_running on runs (experiment_id) where status = 'RUNNING'",
)
"""Beside MLflow's own; docs/growing.md says what came of them."""
SIZES = (10, 1_000, 100_000)


def main(arguments: list[str]) -> int:
    """Measure, print a table, keep it; return 1 where a bound is passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growing")
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--backends", default="embedded,sqlite,postgresql")
    told = parser.parse_args(arguments)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
    sizes = [int(size) for size in told.sizes.split(",")]
    rows: list[Row] = []
    for backend in told.backends.split(","):
        with _scratch() as scratch, _database(backend, scratch) as uri:
            for row in _measure(backend, uri, scratch, sizes):
                row.show()
                rows.append(row)
    if told.result:
        keep(told.result, "python -m benchmarks.growing", rows, sizes=sizes, repeats=REPEATS)
    return int(not all(row.holds for row in rows))


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="convoy-growing-") as folder:
        yield Path(folder)


@contextmanager
def _database(backend: str, scratch: Path) -> Iterator[str]:
    if backend != "postgresql":
        yield f"sqlite:///{scratch / 'mlflow.db'}"
    else:
        with postgresql() as uri:
            yield uri


def _measure(backend: str, uri: str, scratch: Path, sizes: list[int]) -> Iterator[Row]:
    with _serving(backend, uri, scratch) as (address, pid):
        client = Client(address)
        store = Store.create(client, uri)
        for size in sizes:
            began = time.monotonic()
            grow(store, size)
            detail = {"runs": size, "seconds to copy": round(time.monotonic() - began, 1)}
            name = f"{backend}, {size:,} runs"
            for call, ask in _calls(client, store).items():
                yield Row(f"{name}: {call}, ms", median(ask), detail=detail)
            yield Row(f"{name}: database, MB", megabytes(uri), detail=detail)
            yield Row(f"{name}: memory of who reads it, MB", memory(pid), detail=detail)
        _index(uri)
        for call, ask in _calls(client, store).items():
            yield Row(f"{name}, two indexes: {call}, ms", median(ask), detail=detail)


def _index(uri: str) -> None:
    engine = create_engine(uri)
    with engine.begin() as connection:
        for index in INDEXES:
            connection.execute(text(index))
        connection.execute(text("analyze"))
    engine.dispose()


@contextmanager
def _serving(backend: str, uri: str, scratch: Path) -> Iterator[tuple[str, int]]:
    """Yield the address to ask, and the process that reads the database for it."""
    if backend == "embedded":
        os.environ["MLFLOW_TRACKING_URI"] = uri
        yield uri, os.getpid()
        return
    server, address = start_mlflow(scratch, uri, free_port())
    try:
        yield address, server.pid
    finally:
        stop(server)


def _calls(client: Client, store: Store) -> dict[str, Callable[[], object]]:
    """Return what Convoy asks MLflow for, by what it is for."""
    experiment, model = store.experiment, store.model
    metrics = {name: 0.5 for name in ("train/loss", "val/loss", "val/accuracy", "lr")}
    return {
        "find a training by its key": lambda: tracking.find(client, experiment, store.some_key()),
        "settle what dead runs left": lambda: tracking.settle(client, experiment),
        "open a training": store.open_one,
        "log an epoch": lambda: tracking.log_epoch(client, store.open, store.epoch(), metrics),
        "the last pipeline run": lambda: tracking.latest_pipeline(client, experiment),
        "a run by the beginning of its id": lambda: lookup.runs_named(client, [store.some_id()]),
        "the trainings of a pipeline": lambda: lookup.children(client, store.pipeline()),
        "the runs' page, newest 100": lambda: client.search_runs(
            [experiment], max_results=100, order_by=["attributes.start_time DESC"]
        ),
        "the champion": lambda: registry.by_alias(client, model, registry.CHAMPION),
        "a version by its number": lambda: registry.version(client, model, "1"),
        "a version by its key": lambda: registry.by_key(client, model, "nobody"),
        "all versions of a model": lambda: registry.versions(client, model),
        "the journal of promotions": lambda: journal.journal(client, model),
    }


def median(ask: Callable[[], object]) -> float:
    """Return the median of some calls in milliseconds, after one that is not counted."""
    ask()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def megabytes(uri: str) -> float:
    if uri.startswith("sqlite"):
        return Path(uri.removeprefix("sqlite:///")).stat().st_size / 1e6
    engine = create_engine(uri)
    with engine.connect() as connection:
        size: Any = connection.execute(text("select pg_database_size(current_database())")).scalar()
    engine.dispose()
    return float(size) / 1e6


def memory(pid: int) -> float:
    """Return what a server and its workers take, what they share counted once."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in family) / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
