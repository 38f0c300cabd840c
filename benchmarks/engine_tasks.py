"""What a task and a flow cost, by turns in one process: Prefect's own, Convoy's, on two workers.

Run by `python -m benchmarks.engine`, in a project; prints one line of JSON.
"""

import json
import os
import statistics
import sys
import time
from typing import Any

from convoy import environment
from convoy.project import Project

TASKS = 30
TURNS = 3


def main() -> None:
    project = Project.find()
    environment.apply(project)
    project.create_state()
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    from convoy.prefect_server import PrefectServer

    server = PrefectServer(project.state / "prefect-server.log")
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from convoy.engine import Engine
    from flows.engine import open_engine

    @task
    def trivial() -> int:
        return 1

    @task(task_run_name="train {architecture}", cache_policy=NO_CACHE)
    def ours(work: object, architecture: str) -> str:
        return architecture

    @flow
    def nothing() -> None:
        pass

    @flow
    def timed() -> dict[str, float]:
        taken: dict[str, list[float]] = {}
        with open_engine(project, Engine(workers=2)) as runner:
            runner.submit(trivial, {}).result()
            for _ in range(TURNS):
                for _ in range(TASKS):
                    _time(taken, "Prefect's own trivial task, ms", trivial)
                    _time(taken, "Convoy's task around nothing, ms", lambda: ours(object(), "mlp"))
                for _ in range(TASKS):
                    _time(
                        taken,
                        "a trivial task on a worker, ms",
                        lambda: runner.submit(trivial, {}).result(),
                    )
        return {name: 1000 * statistics.median(seconds) for name, seconds in taken.items()}

    server.wait()
    found: dict[str, Any] = timed()
    flows: dict[str, list[float]] = {}
    for _ in range(TURNS + 1):
        _time(flows, "a flow of nothing, ms", nothing)
    found |= {name: 1000 * statistics.median(seconds[1:]) for name, seconds in flows.items()}
    sys.stdout.write(json.dumps(found) + "\n")


def _time(taken: dict[str, list[float]], name: str, work: Any) -> None:
    began = time.perf_counter()
    work()
    taken.setdefault(name, []).append(time.perf_counter() - began)


if __name__ == "__main__":
    main()
