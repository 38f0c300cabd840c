"""Threads are bound to cores, and what a bound thread starts is not."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from convoy.programs import cores

HERE = cores.available({})
many = pytest.mark.skipif(
    len(HERE) < 2 or sys.platform != "linux", reason="needs two cores, and Linux to say which"
)

PROGRAM = """
import json, os, threading
from convoy.programs import cores

def here():
    return sorted(os.sched_getaffinity(0))

cores.prepare()
found = {"before": here()}
import torch
torch.ones(600, 600) @ torch.ones(600, 600)
found["after"], found["threads"] = here(), torch.get_num_threads()

def work(name, act):
    act()
    found[name] = here()

for name, act in (("thread", int), ("unbound", cores.unbind)):
    thread = threading.Thread(target=work, args=(name, act))
    thread.start()
    thread.join()
print(json.dumps(found))
"""


def ran(**environ: str) -> dict[str, Any]:
    """What a program that was started by a bound thread finds out about its own cores."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "CONVOY_", "LOCAL_"))}
    told = {**kept, **cores.told(HERE), **environ}
    # As if by a thread that loading PyTorch has bound.
    first = f"import os; os.sched_setaffinity(0, [{HERE[0]}])"
    command = [sys.executable, "-c", first + PROGRAM]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("here", "workers", "shares"),
    [
        ([0, 1], 1, ["{0},{1}"]),
        ([0, 1], 2, ["{0}", "{1}"]),
        ([0, 1], 3, ["{0}", "{1}", "{0}"]),
        ([0, 2, 5, 7, 8], 2, ["{0},{2}", "{5},{7}"]),
    ],
    ids=str,
)
def test_workers_share_the_cores(here: list[int], workers: int, shares: list[str]) -> None:
    given = [cores.share(place, workers, here) for place in range(workers)]
    assert [found["OMP_PLACES"] for found in given] == shares
    assert {found["OMP_NUM_THREADS"] for found in given} == {str(shares[0].count("{"))}
    assert [cores.available(found) for found in given] == [
        [int(core) for core in share.strip("{}").split("},{")] for share in shares
    ]


@many
def test_a_bound_program_has_all_cores_whoever_started_it() -> None:
    found = ran()
    assert found["before"] == HERE and found["threads"] == len(HERE)
    assert found["after"] == found["thread"] == HERE[:1], "PyTorch has bound its first thread"
    assert found["unbound"] == HERE, "and a reader of files is not to wait for that core"


@many
def test_each_of_several_processes_has_its_own_cores() -> None:
    found = ran(LOCAL_RANK="1", LOCAL_WORLD_SIZE="2")
    half = len(HERE) // 2
    assert found["before"] == HERE[half : 2 * half]
    assert found["after"] == HERE[half : half + 1]
    assert found["threads"] == half


def test_what_the_environment_says_stays() -> None:
    environ = {"OMP_PROC_BIND": "false", "OMP_NUM_THREADS": "1"}
    cores.prepare(environ)
    assert (environ["OMP_PROC_BIND"], environ["OMP_NUM_THREADS"]) == ("false", "1")
