"""Downloads from servers that misbehave: resumed, verified, bounded, and never half visible."""

import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convoy.downloads import Patience, download
from convoy.errors import ConvoyError, DataRefused
from convoy.progress import Download
from convoy.progress import logger as progress_logger
from convoy.published import Bytes, File
from tests import loopback
from tests.loopback import Server

CONTENT = random.Random(0).randbytes(300_000)
FILE = File("set.bin", Bytes(len(CONTENT), hashlib.sha256(CONTENT).hexdigest()))
QUICK = Patience(attempts=3, pause=0.01, longest=0.05, connect=2, stall=0.3)


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serving() as server:
        yield server


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


def fetched(raw: Path, memory: Path, *addresses: str, file: File = FILE) -> bytes:
    """Download and return the bytes; nothing else may lie in `raw`, and no part be left."""
    download(file, addresses, raw / file.name, memory, QUICK)
    assert [path.name for path in raw.iterdir()] == [file.name]
    assert not list(memory.glob("*.part*"))
    return (raw / file.name).read_bytes()


def refused(raw: Path, memory: Path, *addresses: str, file: File = FILE) -> str:
    """Download in vain and return the sentence; nothing may lie in `raw`."""
    with pytest.raises(ConvoyError) as caught:
        download(file, addresses, raw / file.name, memory, QUICK)
    assert not isinstance(caught.value, DataRefused)
    assert caught.value.exit_code == 1
    assert not list(raw.iterdir())
    said = str(caught.value)
    assert file.name in said and "\n" not in said and said.endswith(".")
    return said


def test_a_whole_file_comes_in_one_request(server: Server, raw: Path, memory: Path) -> None:
    assert fetched(raw, memory, server.serve("/set.bin", CONTENT)) == CONTENT
    assert server.ranges() == [None]


def test_a_broken_line_costs_only_what_had_not_come(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve(
        "/set.bin",
        CONTENT,
        loopback.breaks_off(100_000),
        loopback.breaks_off(50_000),
        loopback.whole,
    )
    assert fetched(raw, memory, address) == CONTENT
    assert server.ranges() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_line_that_breaks_more_often_than_attempts_are_given_still_gets_there(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.breaks_off(20_000))
    assert fetched(raw, memory, address) == CONTENT
    assert len(server.asked) == 15 > QUICK.attempts


def test_a_server_that_says_no_more_is_asked_again_for_the_rest(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.stalls(100_000), loopback.whole)
    began = time.monotonic()
    assert fetched(raw, memory, address) == CONTENT
    assert time.monotonic() - began < 5
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_server_that_only_drips_counts_as_one_that_stopped(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.drips(0.05))
    began = time.monotonic()
    assert "less than 1,000 bytes a second for 0.3 s" in refused(raw, memory, address)
    assert time.monotonic() - began < 10


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, raw: Path, memory: Path) -> None:
    address = server.serve(
        "/set.bin", CONTENT, loopback.breaks_off(100_000), loopback.ignores_range
    )
    assert fetched(raw, memory, address) == CONTENT
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_wrong_range_is_not_joined_to_what_came_before(
    server: Server, raw: Path, memory: Path
) -> None:
    broken = loopback.breaks_off(100_000)
    address = server.serve("/set.bin", CONTENT, broken, loopback.shifts_range, loopback.whole)
    assert fetched(raw, memory, address) == CONTENT
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_file_that_changed_at_the_server_is_begun_anew(
    server: Server, raw: Path, memory: Path
) -> None:
    old = loopback.breaks_off(100_000, tag='"old"')
    address = server.serve("/set.bin", bytes(300_000), old, loopback.status(404))
    refused(raw, memory, address)
    server.serve("/set.bin", CONTENT, loopback.tagged('"new"'))
    assert fetched(raw, memory, address) == CONTENT
    assert server.asked[-1] == ("/set.bin", "bytes=100000-", '"old"')


def test_the_same_file_goes_on_by_its_etag(server: Server, raw: Path, memory: Path) -> None:
    address = server.serve(
        "/set.bin", CONTENT, loopback.breaks_off(100_000, tag='"a"'), loopback.tagged('"a"')
    )
    assert fetched(raw, memory, address) == CONTENT
    assert server.asked[-1] == ("/set.bin", "bytes=100000-", '"a"')


def test_a_part_of_other_bytes_is_thrown_away_and_the_mirror_asked_again(
    server: Server, raw: Path, memory: Path
) -> None:
    beginning = loopback.breaks_off(100_000)
    wrong = server.serve("/wrong/set.bin", bytes(300_000), beginning, loopback.status(404))
    right = server.serve("/right/set.bin", CONTENT)
    assert fetched(raw, memory, wrong, right) == CONTENT
    asked = [("/right/set.bin", "bytes=100000-", None), ("/right/set.bin", None, None)]
    assert server.asked[-2:] == asked


def test_a_wrong_byte_sends_on_to_the_next_mirror(server: Server, raw: Path, memory: Path) -> None:
    bad = server.serve("/bad/set.bin", CONTENT, loopback.corrupts(299_999))
    good = server.serve("/good/set.bin", CONTENT)
    assert fetched(raw, memory, bad, good) == CONTENT
    assert server.asked == [("/bad/set.bin", None, None), ("/good/set.bin", None, None)]


def test_wrong_bytes_everywhere_leave_nothing_behind(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.corrupts(7))
    assert "gave the sha256 " in refused(raw, memory, address)
    assert not list(memory.glob("*.part*"))


def test_a_sentence_says_which_mirrors_failed_and_how(
    server: Server, raw: Path, memory: Path
) -> None:
    with loopback.serving() as gone:
        closed = gone.address
    missing = server.serve("/missing/set.bin", b"", loopback.status(404))
    ill = server.serve("/ill/set.bin", b"", loopback.status(503))
    page = server.serve("/page/set.bin", b"<html>Please log in</html>")
    said = refused(raw, memory, missing, ill, page, f"{closed}/set.bin", "http://[/set.bin")
    assert f"{missing}: 404 Not Found" in said
    assert f"{ill}: 503 Service Unavailable" in said
    assert f"{page}: offers 26 bytes instead of 300,000" in said
    assert f"{closed}/set.bin: [Errno" in said
    assert "give a folder that holds the file with `from`, or a mirror with CONVOY_MIRROR" in said
    asked = [asked.path for asked in server.asked]
    assert asked == ["/missing/set.bin"] + 3 * ["/ill/set.bin"] + ["/page/set.bin"]


def test_a_password_in_an_address_is_not_repeated(server: Server, raw: Path, memory: Path) -> None:
    address = server.address.replace("//", "//me:secret@") + "/set.bin"
    assert "secret" not in refused(raw, memory, address)


def test_a_server_that_was_out_of_order_for_a_while_is_forgiven(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve(
        "/set.bin", CONTENT, loopback.status(503), loopback.status(429), loopback.whole
    )
    assert fetched(raw, memory, address) == CONTENT


def test_endless_data_is_cut_off_at_the_known_size(server: Server, raw: Path, memory: Path) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.endless)
    assert "sends more than 300,000 bytes" in refused(raw, memory, address)
    assert not list(memory.glob("*.part*"))


def test_a_server_that_never_says_how_much_is_resumed_by_the_known_size(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.unannounced(200_000))
    assert fetched(raw, memory, address) == CONTENT
    assert server.ranges() == [None, "bytes=200000-"]


def test_redirects_are_followed_and_their_bodies_left_alone(
    server: Server, raw: Path, memory: Path
) -> None:
    there = server.serve("/there", CONTENT)
    address = server.serve("/set.bin", b"", loopback.redirects(there))
    assert fetched(raw, memory, address) == CONTENT


def test_redirects_in_circles_come_to_an_end(server: Server, raw: Path, memory: Path) -> None:
    address = server.serve("/set.bin", b"", loopback.redirects("/set.bin"))
    assert "10 redirects, one after another" in refused(raw, memory, address)


def test_a_file_that_nobody_knows_the_checksum_of_comes_as_it_is(
    server: Server, raw: Path, memory: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.breaks_off(1000), loopback.whole)
    assert fetched(raw, memory, address, file=File("set.bin")) == CONTENT
    assert server.ranges() == [None, "bytes=1000-"]


def test_a_download_that_was_killed_goes_on_in_the_next_process(
    server: Server, raw: Path, memory: Path, repository: Path
) -> None:
    address = server.serve("/set.bin", CONTENT, loopback.stalls(200_000), loopback.whole)
    program = (
        "import sys; from pathlib import Path; from convoy.downloads import download; "
        "from convoy.published import Bytes, File; "
        "address, raw, memory, size, sha256 = sys.argv[1:]; "
        "download(File('set.bin', Bytes(int(size), sha256)), [address], Path(raw) / 'set.bin', "
        "Path(memory))"
    )
    assert FILE.published
    arguments = [address, str(raw), str(memory), *map(str, FILE.published)]
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
    )
    part = memory / "set.bin.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 150_000):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=30)
    there = part.stat().st_size
    assert not list(raw.iterdir())
    assert fetched(raw, memory, address) == CONTENT
    assert server.ranges() == [None, f"bytes={there}-"]


def test_a_part_that_was_complete_when_the_process_died_is_not_asked_for_again(
    raw: Path, memory: Path
) -> None:
    memory.mkdir()
    (memory / "set.bin.part").write_bytes(CONTENT)
    known = {"address": "http://127.0.0.1:9/set.bin", "size": len(CONTENT), "validator": None}
    (memory / "set.bin.part.json").write_text(json.dumps(known))
    assert fetched(raw, memory, "http://127.0.0.1:9/set.bin") == CONTENT


def test_two_processes_do_not_write_to_one_part(raw: Path, memory: Path) -> None:
    from filelock import FileLock

    memory.mkdir()
    with FileLock(memory / "set.bin.lock"):
        assert "another process is downloading" in refused(raw, memory, "http://127.0.0.1:9/")


def test_a_full_disk_is_said_and_what_came_is_kept(server: Server, raw: Path, memory: Path) -> None:
    memory.mkdir()
    (memory / "set.bin.part.json").write_text(json.dumps({"address": "", "validator": ""}))
    (memory / "set.bin.part").symlink_to("/dev/full")
    said = refused(raw, memory, server.serve("/set.bin", CONTENT))
    assert f"cannot be written to {memory} (No space left on device): free space" in said


def test_a_target_on_another_file_system_appears_whole_all_the_same(
    server: Server, memory: Path, tmp_path: Path
) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    target = shared / f"convoy-{os.getpid()}.bin"
    try:
        download(FILE, [server.serve("/set.bin", CONTENT)], target, memory, QUICK)
        assert target.read_bytes() == CONTENT
        assert not list(shared.glob(f".{target.name}*"))
    finally:
        target.unlink(missing_ok=True)
    assert not list(memory.glob("*.part*"))


def test_logs_hear_each_tenth_and_a_display_more(
    server: Server, raw: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, progress_logger.name):
        fetched(raw, memory, server.serve("/set.bin", CONTENT))
    assert 2 <= len(caplog.records) <= 20
    events = [vars(record)["event"] for record in caplog.records]
    assert events[0] == Download("ingest", "set.bin", 0, 300_000)
    assert events[-1] == Download("ingest", "set.bin", 300_000, 300_000)
    told = [record for record in caplog.records if record.levelno == logging.INFO]
    assert 1 <= len(told) <= 10
    assert told[-1].getMessage() == "ingest: set.bin, 0.3 of 0.3 MB"


def test_memory_stays_flat_however_large_the_file(
    server: Server, raw: Path, memory: Path, repository: Path
) -> None:
    content = bytes(100_000_000)
    server.serve("/large.bin", content)
    program = (
        "import resource, sys; from pathlib import Path; from convoy.downloads import download; "
        "from convoy.published import File; import httpx; peak = lambda: "
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak(); "
        "address, raw, memory = sys.argv[1:]; "
        "download(File('large.bin'), [address], Path(raw) / 'large.bin', Path(memory)); "
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"{server.address}/large.bin", raw, memory],
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (raw / "large.bin").stat().st_size == len(content)
    assert int(done.stdout) < 30_000, "kilobytes"


def test_importing_downloads_is_cheap(repository: Path) -> None:
    program = "import sys, convoy.mirrors; assert not {'httpx', 'torch'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
