"""Programs die in every way there is; their owner believes results alone and leaves no orphan."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from convoy.errors import ConvoyError, DataRefused, NotReproducible, Stopped
from convoy.programs.launcher import Launcher

MODULE = "tests.programs.examples"

Events = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _importable(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{repository / 'src'}{os.pathsep}{repository}")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """A parent that has imported nothing beforehand, so it starts at once."""
    with Launcher(log=tmp_path / "parent.log") as launcher:
        yield launcher


def run(launcher: Launcher, log: Path, events: Events | None = None, **spec: Any) -> Any:
    followed: Events = [] if events is None else events
    return launcher.run(MODULE, spec, log, followed.append)


def alive(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_results_come_back_one_program_after_another(launcher: Launcher, tmp_path: Path) -> None:
    for number in range(5):
        result = run(launcher, tmp_path / "log", do="answer", number=number)
        assert result == {"square": number**2}


def test_each_program_runs_in_a_process_of_its_own(launcher: Launcher, tmp_path: Path) -> None:
    events: Events = []
    for _ in range(2):
        run(launcher, tmp_path / "log", events, do="answer", number=1)
    assert len({event["pid"] for event in events} | {os.getpid()}) == 3


def test_what_a_program_prints_goes_to_its_log_and_never_between_the_events(
    launcher: Launcher, tmp_path: Path
) -> None:
    events: Events = []
    assert run(launcher, tmp_path / "log", events, do="print") == {"printed": True}
    assert [event["event"] for event in events] == ["began", "epoch"]
    log = (tmp_path / "log").read_text()
    assert "forged" in log
    assert "on standard error" in log
    assert '"ended"' in log


def test_a_program_reads_nothing_from_its_owner(launcher: Launcher, tmp_path: Path) -> None:
    assert run(launcher, tmp_path / "log", do="read") == {"read": ""}
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


@pytest.mark.parametrize("kind", [ConvoyError, DataRefused, NotReproducible])
def test_a_refusal_comes_back_as_what_it_was(
    launcher: Launcher, tmp_path: Path, kind: type[ConvoyError]
) -> None:
    with pytest.raises(ConvoyError, match=r"^because of this$") as caught:
        run(launcher, tmp_path / "log", do="refuse", kind=kind.__name__)
    assert type(caught.value) is kind
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_a_fault_of_ours_is_named_and_its_traceback_kept(
    launcher: Launcher, tmp_path: Path
) -> None:
    with pytest.raises(ConvoyError, match=r"failed \(ZeroDivisionError: by nothing\); see .*log"):
        run(launcher, tmp_path / "log", do="fail")
    assert "Traceback" in (tmp_path / "log").read_text()
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, r"was killed, likely because memory ran out \(signal 9\)"),
        (signal.SIGSEGV, r"crashed \(signal 11\)"),
        (signal.SIGTERM, r"^stopped; the same command goes on from here\.$"),
    ],
)
def test_a_program_that_died_is_reported_and_the_next_one_runs(
    launcher: Launcher, tmp_path: Path, number: int, said: str
) -> None:
    with pytest.raises(ConvoyError, match=said):
        run(launcher, tmp_path / "log", do="die", signal=int(number))
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_a_program_that_was_asked_to_end_was_stopped_and_did_not_fail(
    launcher: Launcher, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run(launcher, tmp_path / "log", do="die", signal=int(signal.SIGTERM))


def test_a_signal_to_all_processes_is_left_to_the_owner(launcher: Launcher, tmp_path: Path) -> None:
    assert run(launcher, tmp_path / "log", do="answer", number=2) == {"square": 4}
    launcher._parent.terminate()
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_an_interrupted_owner_has_its_program_end_at_once(
    launcher: Launcher, tmp_path: Path
) -> None:
    pids: list[int] = []

    def follow(event: dict[str, Any]) -> None:
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launcher.run(MODULE, {"do": "sleep"}, tmp_path / "log", follow)
    assert gone(pids[0]), "though the launcher is still open"


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_without_a_result_is_not_believed(
    launcher: Launcher, tmp_path: Path, code: int
) -> None:
    with pytest.raises(ConvoyError, match=f"ended with code {code} and without a result"):
        run(launcher, tmp_path / "log", do="leave", code=code)
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_exit_0_in_the_middle_is_no_result(launcher: Launcher, tmp_path: Path) -> None:
    with pytest.raises(ConvoyError, match="SystemExit"):
        run(launcher, tmp_path / "log", do="exit")


def test_a_module_that_is_not_there_is_reported(launcher: Launcher, tmp_path: Path) -> None:
    with pytest.raises(ConvoyError, match="ModuleNotFoundError"):
        launcher.run("convoy.nowhere", {}, tmp_path / "log", lambda event: None)


def test_a_parent_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    with (
        Launcher("convoy.nowhere", log=tmp_path / "parent.log") as launcher,
        pytest.raises(ConvoyError, match=r"see .*parent.log"),
    ):
        run(launcher, tmp_path / "log", do="answer", number=1)
    assert "ModuleNotFoundError" in (tmp_path / "parent.log").read_text()


def test_what_comes_later_is_imported_while_the_first_program_runs(tmp_path: Path) -> None:
    with Launcher(later=("sched", "convoy.nowhere"), log=tmp_path / "parent.log") as launcher:
        found = [
            run(launcher, tmp_path / "log", do="tell what is imported", module="sched")
            for _ in range(2)
        ]
        assert found == [{"imported": False}, {"imported": True}]
        with pytest.raises(ConvoyError, match=r"No module named 'convoy\.nowhere'"):
            launcher.run("convoy.nowhere", {}, tmp_path / "log", lambda event: None)


def started(launcher: Launcher, log: Path, awaited: str = "began", **spec: Any) -> int:
    """Run a program on a thread until it says `awaited`; return the process id that it tells."""
    said = threading.Event()
    events: Events = []

    def follow(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == awaited:
            said.set()

    def work() -> None:
        try:
            launcher.run(MODULE, spec, log, follow)
        except (ConvoyError, ValueError):
            return  # its end is what these tests are about

    threading.Thread(target=work, daemon=True).start()
    assert said.wait(30)
    return int(next(e["pid"] for e in reversed(events) if "pid" in e))


@pytest.mark.parametrize("do", ["sleep", "have a child"])
def test_closing_the_launcher_ends_a_running_program_and_its_children(
    tmp_path: Path, do: str
) -> None:
    with Launcher(log=tmp_path / "parent.log") as launcher:
        awaited = "child" if do == "have a child" else "began"
        pid = started(launcher, tmp_path / "log", awaited, do=do)
        assert alive(pid)
    assert gone(pid)


def test_closing_the_launcher_right_after_a_request_ends_the_program(tmp_path: Path) -> None:
    """The program may not have its own process group yet."""
    for delay in (0.0, 0.001, 0.002, 0.005, 0.01):
        with Launcher(log=tmp_path / "parent.log") as launcher:
            run(launcher, tmp_path / "log", do="answer", number=1)
            stdin = launcher._parent.stdin
            assert stdin
            stdin.write(
                f'{{"module": "{MODULE}", "spec": {{"do": "sleep"}}, "log": "/dev/null"}}\n'
            )
            stdin.flush()
            time.sleep(delay)
            began = time.monotonic()
        assert time.monotonic() - began < 5


def test_a_program_that_is_asked_to_end_does_and_another_follows(
    launcher: Launcher, tmp_path: Path
) -> None:
    """It is asked from its own events, as a sweep does."""
    for _ in range(3):
        events: Events = []

        def follow(event: dict[str, Any], events: Events = events) -> None:
            events.append(event)
            launcher.stop()

        with pytest.raises(Stopped, match="the same command goes on"):
            launcher.run(MODULE, {"do": "sleep"}, tmp_path / "log", follow)
        assert gone(events[0]["pid"])
        assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_asking_a_program_that_has_just_ended_harms_neither_it_nor_the_next(
    launcher: Launcher, tmp_path: Path
) -> None:
    launcher.stop()
    assert run(launcher, tmp_path / "log", do="answer", number=2) == {"square": 4}
    launcher.stop()
    launcher.stop()
    assert run(launcher, tmp_path / "log", do="answer", number=3) == {"square": 9}


def test_closing_a_launcher_ends_what_another_thread_runs_in_it(tmp_path: Path) -> None:
    with Launcher(log=tmp_path / "parent.log") as launcher:
        pid = started(launcher, tmp_path / "log", do="sleep")
        launcher.close()
        assert gone(pid)
        with pytest.raises(ConvoyError, match="could not start"):
            run(launcher, tmp_path / "log", do="answer", number=1)


@pytest.mark.slow
def test_a_program_that_is_deaf_to_the_request_to_end_is_killed(tmp_path: Path) -> None:
    with Launcher(log=tmp_path / "parent.log") as launcher:
        pid = started(launcher, tmp_path / "log", "deaf", do="ignore the signal")
    assert gone(pid)


def test_killing_the_parent_leaves_no_orphan_and_is_reported(tmp_path: Path) -> None:
    with Launcher(log=tmp_path / "parent.log") as launcher:
        pid = started(launcher, tmp_path / "log", do="sleep")
        launcher._parent.kill()
        assert gone(pid)
        with pytest.raises(ConvoyError, match=r"could not start|ended with its parent"):
            run(launcher, tmp_path / "log", do="answer", number=1)


def test_killing_the_owner_leaves_no_orphan(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from convoy.programs.launcher import Launcher\n"
        "folder = Path(sys.argv[1])\n"
        "with Launcher(log=folder / 'parent.log') as launcher:\n"
        "    print(launcher._parent.pid, flush=True)\n"
        f"    launcher.run('{MODULE}', {{'do': 'sleep'}}, folder / 'log',\n"
        "        lambda event: print(event['pid'], flush=True))\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout
        parent, child = int(owner.stdout.readline()), int(owner.stdout.readline())
        assert alive(parent)
        assert alive(child)
        owner.kill()
    assert gone(child)
    assert gone(parent)


def test_by_hand_a_programs_events_are_lines_on_standard_output(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    program = f"from convoy.programs.entry import by_hand; by_hand('{MODULE}')"

    def by_hand(content: str) -> subprocess.CompletedProcess[str]:
        spec.write_text(content)
        command = [sys.executable, "-c", program, str(spec)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = by_hand('{"do": "answer", "number": 4}')
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == '{"event": "result", "result": {"square": 16}}'
    done = by_hand('{"do": "refuse", "kind": "DataRefused"}')
    assert done.returncode == 3
    assert "because of this" in done.stdout.splitlines()[-1]
    done = by_hand('{"do": ')
    assert done.returncode == 1
    assert "is not a JSON object" in done.stderr
