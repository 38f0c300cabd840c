"""One run at a time in a project: refused or waited for, and never held by somebody who is gone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convoy import turn
from convoy.errors import ConvoyError

HOLD = (
    "import sys, time; from pathlib import Path; from convoy import turn\n"
    "with turn.take(Path(sys.argv[1]), 'digits', 'a run'):\n"
    "    print('held', flush=True); time.sleep(float(sys.argv[2]))"
)


@contextmanager
def held(state: Path, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Another process at work for so long."""
    command = [sys.executable, "-c", HOLD, str(state), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_run_is_refused_with_the_process_that_works(tmp_path: Path) -> None:
    with held(tmp_path, 600) as other:
        assert turn.at_work(tmp_path) == {
            "pid": other.pid,
            "dataset": "digits",
            "flow_run": "a run",
        }
        with (
            pytest.raises(ConvoyError, match=rf"at work in this project \(process {other.pid}\)"),
            turn.take(tmp_path),
        ):
            pass


def test_one_that_waits_begins_when_the_other_has_ended(tmp_path: Path) -> None:
    with held(tmp_path, 1) as other, turn.take(tmp_path, waits=True):
        assert other.wait(10) == 0


def test_the_turn_of_a_killed_run_is_free(tmp_path: Path) -> None:
    with held(tmp_path, 600) as other:
        other.kill()
        other.wait()
        began = time.monotonic()
        assert turn.at_work(tmp_path) is None
        with turn.take(tmp_path, "digits"):
            assert time.monotonic() - began < 5
            assert (turn.at_work(tmp_path) or {})["pid"] == os.getpid()


def test_a_run_may_take_its_turn_again_inside_itself(tmp_path: Path) -> None:
    with turn.take(tmp_path, "digits", "outer"):
        with turn.take(tmp_path, "digits", "inner"):
            pass
        assert (turn.at_work(tmp_path) or {})["flow_run"] == "outer"
    assert turn.at_work(tmp_path) is None


def test_one_alone_waits_under_a_name(tmp_path: Path) -> None:
    with (
        turn.only_one_waits(tmp_path, "nightly-digits") as first,
        turn.only_one_waits(tmp_path, "nightly-digits") as second,
        turn.only_one_waits(tmp_path, "nightly-animals") as other,
    ):
        assert (first, second, other) == (True, False, True)
    with turn.only_one_waits(tmp_path, "nightly-digits") as again:
        assert again
