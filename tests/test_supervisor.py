"""Real processes that die, hang, talk too much and refuse to end, under a supervisor."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from convoy import supervisor
from convoy.errors import ConvoyError
from convoy.supervisor import Service, Supervisor

READY = "from pathlib import Path; import time; Path('ready').touch(); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"
# It starts a child of its own, which has to go with it.
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open('child', 'w').write(str(child.pid)); open('ready', 'w'); time.sleep(600)"
)


def service(folder: Path, code: str, name: str = "one") -> Service:
    return Service(name, (sys.executable, "-c", code), {}, (folder / "ready").exists)


class Kept:
    """A supervisor in a thread, as `convoy up` has it in its main one."""

    def __init__(self, folder: Path, *services: Service) -> None:
        self.said: list[str] = []
        self.error: ConvoyError | None = None
        self.ready = threading.Event()
        self.supervisor = Supervisor(folder, folder / "logs", self.said.append)
        for one in services:
            self.supervisor.start(one)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.supervisor.keep(self.ready.set)
        except ConvoyError as error:
            self.error = error
        finally:
            self.supervisor.end()

    def end(self, times: int = 1) -> None:
        for _ in range(times):
            self.supervisor.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()

    @property
    def process(self) -> psutil.Process:
        found = self.supervisor.services[0].process
        assert found
        return psutil.Process(found.pid)


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a test's length."""
    monkeypatch.setattr(supervisor, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr(supervisor, "CHECK", 0.2)
    monkeypatch.setattr(supervisor, "GRACE", 5.0)


def test_all_is_ready_when_each_answers_and_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    kept = Kept(tmp_path, service(tmp_path, PARENT))
    assert kept.ready.wait(60)
    processes = [kept.process, *kept.process.children(recursive=True)]
    assert int((tmp_path / "child").read_text()) in [one.pid for one in processes]
    kept.end()
    assert not [one for one in processes if one.is_running() and one.status() != "zombie"]
    assert (kept.error, kept.said) == (None, [])


def test_what_was_killed_is_started_again_and_what_it_left_is_gone(tmp_path: Path) -> None:
    kept = Kept(tmp_path, service(tmp_path, PARENT))
    assert kept.ready.wait(60)
    first, (child,) = kept.process, kept.process.children()
    (tmp_path / "ready").unlink()
    first.kill()
    wait((tmp_path / "ready").exists)
    assert kept.process.pid != first.pid
    assert not child.is_running() or child.status() == "zombie"
    kept.end()
    (said,) = kept.said
    assert said.startswith("one was killed (signal 9); it is started again in 0 s")


def test_what_keeps_dying_ends_the_whole_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.exit('the database is damaged')"
    kept = Kept(tmp_path, service(tmp_path, READY, "other"), service(tmp_path, code))
    kept.thread.join(60)
    assert kept.error is not None
    assert "one ended by itself (code 1), for the 3rd" not in str(kept.error)
    assert "'the database is damaged'" in str(kept.error) and "one.log" in str(kept.error)
    assert len(kept.said) == 2


def test_what_gives_no_answer_counts_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, service(tmp_path, READY))
    assert kept.ready.wait(60)
    first = kept.process.pid
    monkeypatch.setattr(supervisor, "HUNG", 0.5)
    (tmp_path / "ready").unlink()
    wait(lambda: kept.said)
    assert "gave no answer for" in kept.said[0]
    wait((tmp_path / "ready").exists)
    assert kept.process.pid != first
    monkeypatch.setattr(supervisor, "HUNG", 60.0)
    kept.end()


def test_what_does_not_end_is_killed_and_at_once_where_that_is_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.5)
    kept = Kept(tmp_path, service(tmp_path, STUBBORN))
    assert kept.ready.wait(60)
    first = kept.process
    kept.end()
    assert not first.is_running() or first.status() == "zombie"
    monkeypatch.setattr(supervisor, "GRACE", 600.0)
    (tmp_path / "ready").unlink()
    kept = Kept(tmp_path, service(tmp_path, STUBBORN))
    assert kept.ready.wait(60)
    second = kept.process
    kept.end(times=2)
    assert not second.is_running() or second.status() == "zombie"


def test_what_outlives_the_others_ends_after_them(tmp_path: Path) -> None:
    kept = Supervisor(tmp_path, tmp_path / "logs", lambda said: None)
    for name, outlives in (("server", False), ("runner", False), ("store", True)):
        kept.start(service(tmp_path, READY, name), outlives)
    assert [one.service.name for one in kept.services] == ["store", "server", "runner"]
    kept.stop()
    kept.end()


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LARGEST", 10_000)
    chatty = f"import time; print('x' * 20_000, flush=True); print('end', flush=True); {READY}"
    kept = Kept(tmp_path, service(tmp_path, chatty))
    log = tmp_path / "logs" / "one.log"
    wait(lambda: log.with_name("one.log.1").exists())
    wait(lambda: log.stat().st_size < 10_000)
    kept.end()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from convoy.supervisor import Service, Supervisor; import sys\n"
        f"s = Supervisor(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}), print)\n"
        f"s.start(Service('one', (sys.executable, '-c', {READY!r}), {{}}, lambda: True))\n"
        "s.keep(lambda: None)"
    )
    owner = psutil.Popen([sys.executable, "-c", program], env=os.environ)
    wait((tmp_path / "ready").exists)
    children = owner.children(recursive=True)
    assert children
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert not psutil.wait_procs(children, timeout=15)[1]
