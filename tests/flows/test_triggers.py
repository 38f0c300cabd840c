"""One run for a change, none without, none lost: watching against a real Prefect server."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from convoy.orchestration import Trigger
from convoy.prefect_api import PrefectApi
from convoy.triggers import ledger
from convoy.triggers.calls import Calls
from convoy.triggers.watch import TAG, Watch, Watched, look_of
from convoy.webhook import signature
from tests import s3
from tests.prefect_servers import deployed, runs, serving
from tests.terminal import git

pytestmark = pytest.mark.slow

QUIET = 10.0
EVERY = 1.0
Watching = Callable[..., Watch]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectApi]:
    schema = {
        "type": "object",
        "properties": {"dataset": {"type": "string", "enum": ["digits"]}},
    }
    with serving(tmp_path_factory.mktemp("prefect")) as found:
        deployed(found, "pipeline", "new-data", parameter_openapi_schema=schema)
        yield found


@pytest.fixture
def watching(server: PrefectApi, tmp_path: Path) -> Watching:
    """Return a maker of watches, each as a watcher that has just been started."""

    def make(name: str, **told: Any) -> Watch:
        values = {"deployment": "new-data", "every": EVERY, "quiet": QUIET, **told}
        trigger = Trigger(**values)
        folder = tmp_path / "triggers"
        calls = Calls(folder, [name], "secret")
        look = look_of(tmp_path, trigger, name, calls, server)
        watch = Watch(folder, [Watched(name, trigger, "pipeline/new-data", look)], server)
        watch.begin()
        return watch

    return make


def steps(watch: Watch, begin: float, seconds: float) -> float:
    """Let a watch look for so long, by its clock; return when it ended."""
    at = begin
    while at <= begin + seconds:
        watch.step(at)
        at += EVERY
    return at


def test_files_are_waited_for_until_they_are_all_there_and_start_one_run(
    server: PrefectApi, watching: Watching, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "old.png").write_bytes(b"there before")
    watch = watching("photos", kind="files", address="photos", parameters={"dataset": "digits"})
    at = steps(watch, 0, 3 * QUIET)
    assert runs(server, "photos") == []
    for number in range(3):  # a copy that takes its time
        (photos / f"{number}.png").write_bytes(b"new")
        at = steps(watch, at, QUIET / 2)
        assert runs(server, "photos") == []
    at = steps(watch, at, 3 * QUIET)
    (run,) = runs(server, TAG, "photos")
    assert run["parameters"] == {"dataset": "digits"}
    (photos / "9.png").write_bytes(b"later")
    at = steps(watch, at, 3 * QUIET)
    assert len(runs(server, "photos")) == 2
    # Back to what it was is a change too, and not the run of then.
    (photos / "9.png").unlink()
    steps(watch, at, 3 * QUIET)
    assert len(runs(server, "photos")) == 3


def test_a_change_while_nothing_watched_is_not_lost_and_no_change_starts_nothing(
    server: PrefectApi, watching: Watching, tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    steps(watching("scans", kind="files", address="scans"), 0, QUIET)
    steps(watching("scans", kind="files", address="scans"), 0, 3 * QUIET)
    assert runs(server, "scans") == []
    (tmp_path / "scans" / "1.png").write_bytes(b"while it was down")
    steps(watching("scans", kind="files", address="scans"), 0, 3 * QUIET)
    steps(watching("scans", kind="files", address="scans"), 0, 3 * QUIET)
    assert len(runs(server, "scans")) == 1


def test_a_watcher_killed_between_the_run_and_its_note_starts_no_second_one(
    server: PrefectApi, watching: Watching, tmp_path: Path
) -> None:
    (tmp_path / "prints").mkdir()
    watch = watching("prints", kind="files", address="prints")
    (one,) = watch.watched
    before = ledger.read(watch.folder, "prints", one.trigger)
    (tmp_path / "prints" / "1.png").write_bytes(b"new")
    steps(watch, 0, 2 * QUIET)
    assert before and len(runs(server, "prints")) == 1
    ledger.write(watch.folder, "prints", before)  # as a kill would have left it
    steps(watching("prints", kind="files", address="prints"), 0, 2 * QUIET)
    assert len(runs(server, "prints")) == 1


def test_a_new_object_in_a_bucket_starts_one_run(
    server: PrefectApi, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3.serving(monkeypatch) as client:
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="new/1.png", Body=b"there before")
        watch = watching("bucket", kind="files", address="s3://photos/new")
        at = steps(watch, 0, 2 * QUIET)
        assert runs(server, "bucket") == []
        client.put_object(Bucket="photos", Key="new/2.png", Body=b"new")
        at = steps(watch, at, QUIET / 2)
        assert runs(server, "bucket") == []
        client.put_object(Bucket="photos", Key="elsewhere/3.png", Body=b"not watched")
        steps(watch, at, 2 * QUIET)
        assert len(runs(server, "bucket")) == 1
        client.put_object(Bucket="photos", Key="new/4.png", Body=b"while nothing watched")
        again = {"kind": "files", "address": "s3://photos/new"}
        steps(watching("bucket", **again), 0, 2 * QUIET)
        steps(watching("bucket", **again), 0, 2 * QUIET)
    assert len(runs(server, "bucket")) == 2


def test_another_address_is_begun_anew(
    server: PrefectApi, watching: Watching, tmp_path: Path
) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
    (tmp_path / "right" / "1.png").write_bytes(b"there before")
    steps(watching("moved", kind="files", address="left"), 0, QUIET)
    steps(watching("moved", kind="files", address="right"), 0, 3 * QUIET)
    assert runs(server, "moved") == []


def test_a_folder_that_is_away_for_a_while_is_no_change(
    server: PrefectApi,
    watching: Watching,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "1.png").write_bytes(b"1")
    watch = watching("disk", kind="files", address="disk")
    (tmp_path / "disk").rename(tmp_path / "away")
    at = steps(watch, 0, 3 * QUIET)
    assert capsys.readouterr().err.count("disk cannot be listed") == 1
    (tmp_path / "away").rename(tmp_path / "disk")
    steps(watch, at, 3 * QUIET)
    assert runs(server, "disk") == []


def test_a_commit_starts_one_run(server: PrefectApi, watching: Watching, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "config", "user.name", "A Tester")
    git(tmp_path, "config", "user.email", "tester@example.invalid")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "1")
    watch = watching("code", kind="git", branch="main", quiet=0.0)
    at = steps(watch, 0, 5)
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "2")
    steps(watch, at, 5)
    assert len(runs(server, "code")) == 1


def test_calls_that_come_together_start_one_run_and_one_that_came_early_is_answered(
    server: PrefectApi, watching: Watching, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "triggers", ["hook"], "secret")

    def call(reason: str) -> None:
        body = f'{{"trigger": "hook", "reason": "{reason}"}}'.encode()
        signed = signature("secret", "1000", body)
        headers = {"X-Convoy-Timestamp": "1000", "X-Convoy-Signature": signed}
        calls.accept("hook", headers, body, 1000.0)

    call("before anybody watched")
    at = steps(watching("hook", kind="call"), 0, 3 * QUIET)
    assert len(runs(server, "hook")) == 1
    for reason in ("one", "two", "three"):
        call(reason)
    steps(watching("hook", kind="call"), at, 3 * QUIET)
    assert len(runs(server, "hook")) == 2


def test_an_event_of_prefect_starts_one_run(server: PrefectApi, watching: Watching) -> None:
    watch = watching("promoted", kind="event", event="convoy.promotion", quiet=0.0)
    at = steps(watch, 0, 3)
    emit(server, "00000000-0000-4000-8000-000000000001", "convoy.other")
    at = steps(watch, at, 3)
    assert runs(server, "promoted") == []
    emit(server, "00000000-0000-4000-8000-000000000002", "convoy.promotion")
    deadline = time.monotonic() + 120
    while not runs(server, "promoted") and time.monotonic() < deadline:
        time.sleep(0.5)  # the server takes events in the background
        at = steps(watch, at, 3)
    steps(watch, at, 5)
    assert len(runs(server, "promoted")) == 1


def emit(server: PrefectApi, identity: str, name: str) -> None:
    event = {
        "id": identity,
        "event": name,
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": "convoy.model.digits"},
        "payload": {},
    }
    server.ask("POST", "/events", [event])


def test_a_server_that_is_away_is_waited_for_and_wrong_parameters_are_told_once(
    server: PrefectApi,
    watching: Watching,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "late").mkdir()
    watch = watching("late", kind="files", address="late", quiet=0.0)
    (tmp_path / "late" / "1.png").write_bytes(b"new")
    watch.server = PrefectApi("http://127.0.0.1:9/api")
    at = steps(watch, 0, 5)
    assert capsys.readouterr().err.count("no Prefect server answers at") == 1
    watch.server = server
    steps(watch, at, 5)
    assert len(runs(server, "late")) == 1
    told = {"parameters": {"dataset": "digitz"}}
    wrong = watching("wrong", kind="files", address="late", quiet=0.0, **told)
    (tmp_path / "late" / "2.png").write_bytes(b"new")
    capsys.readouterr()
    steps(wrong, 0, 5)
    assert capsys.readouterr().err.count("refuses that") == 1
    assert runs(server, "wrong") == []
