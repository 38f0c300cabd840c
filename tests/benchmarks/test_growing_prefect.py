"""A store of Prefect that grows by copies: each is a run as the one that ran."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.growing_prefect import PROGRAM, grow, logged
from tests.prefect_servers import runs, serving

pytestmark = [pytest.mark.soak, pytest.mark.slow]


def test_a_copy_is_a_run_with_its_tasks_states_and_log(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True)
        template = logged(server)
    for there, size in ((0, 3), (3, 7)):
        grow(f"sqlite:///{tmp_path / 'prefect.db'}", template, there, size)
    with serving(tmp_path) as server:
        found = runs(server)
        assert len({run["id"] for run in found}) == 8
        assert len({run["start_time"] for run in found}) == 8
        assert {run["state"]["type"] for run in found} == {"COMPLETED"}
        for run in found:
            of = {"flow_runs": {"id": {"any_": [run["id"]]}}}
            tasks = server.ask("POST", "/task_runs/filter", of)
            assert [task["state"]["name"] for task in tasks] == ["Completed"] * 10
            lines = server.ask(
                "POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
            )
            assert sum("epoch 1/20" in line["message"] for line in lines) == 10
