"""Writing that a crash cannot leave half done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convoy.files import read_json, write_atomically, write_json


def test_what_was_written_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_atomically(file, b"old")
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        write_atomically(file, b"new")
    assert list(tmp_path.iterdir()) == [file]


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    program = (
        "import sys; from pathlib import Path; from convoy.files import write_atomically\n"
        "while True:\n"
        "    for letter in (b'a', b'b'):\n"
        "        write_atomically(Path(sys.argv[1]), letter * 3_000_000)\n"
        "        print('written', flush=True)\n"
    )
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE)
        with writer:
            assert writer.stdout
            for _ in range(3):
                writer.stdout.readline()
            os.kill(writer.pid, signal.SIGKILL)
        content = file.read_bytes()
        assert content in (b"a" * 3_000_000, b"b" * 3_000_000)


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"name": "Zürich", "numbers": [1, 0.1, None]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


@pytest.mark.parametrize("content", [None, b"", b'{"key": 1', b"\xff\xfe"])
def test_no_file_and_a_torn_one_read_as_none(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "value.json"
    if content is not None:
        file.write_bytes(content)
    assert read_json(file) is None
