"""What a program reports reaches whoever started it, through DVC too."""

import io
import logging
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convoy import params, progress, versions
from convoy.progress import Download, Epoch, Event, Images, Meter, Step, heard, report
from convoy.project import Project
from tests.loopback import serving
from tests.pets import picture


class _Seen(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, Event]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((record.levelno, vars(record)["event"]))


@pytest.fixture
def seen() -> Iterator[_Seen]:
    handler, level = _Seen(), progress.logger.level
    progress.logger.addHandler(handler)
    progress.logger.setLevel(logging.DEBUG)
    yield handler
    progress.logger.removeHandler(handler)
    progress.logger.setLevel(level)


def test_what_an_ingestion_reports_comes_through_as_it_was(seen: _Seen) -> None:
    events: list[Event] = [
        Step("ingest", "running", "naïve détail\nof two lines"),
        Epoch("train mlp", 1, 2, 0.5, 0.75, 1.5),
        Download("ingest", "set.tar.gz", 5, None),
        Images("ingest", 512),
    ]
    program = (
        "import logging\n"
        "from convoy.progress import *\n"
        "write_lines_if_asked()\n"
        "print('a word of a library', end='')\n"
        f"for event in {events!r}: report(event, logging.DEBUG)\n"
        "print('another')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "src", progress.VARIABLE: "lines"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    others = [line for line in done.stdout.splitlines() if not heard(line)]
    assert "".join(others) == "a word of a libraryanother"
    assert seen.events == [(logging.DEBUG, event) for event in events]


def test_nobody_who_did_not_ask_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    progress.write_lines_if_asked()
    report(Images("ingest", 512))
    assert capsys.readouterr().out == ""


def test_a_download_is_told_by_tenths_in_the_logs(seen: _Seen) -> None:
    meter = Meter(Download("ingest", "file", 0, 1000))
    for done in range(0, 1001, 10):
        meter.saw(done)
    logged = [event for level, event in seen.events if level == logging.INFO]
    assert logged == [Download("ingest", "file", done, 1000) for done in range(100, 1001, 100)]


@pytest.mark.soak
@pytest.mark.slow
def test_an_ingest_through_dvc_reports_its_download_and_its_images(
    project: Project, tmp_path: Path, seen: _Seen
) -> None:
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(600):
            content = io.BytesIO()
            picture(number).save(content, "PNG")
            packed.writestr(f"{number % 2}/{number}.png", content.getvalue())
    entry: dict[str, Any] = {"source": "files", "model": "many", "channels": "rgb", "image_size": 8}
    with serving() as server:
        address = server.serve("/many.zip", archive.read_bytes())
        params.add_dataset(
            project.params, "many", {**entry, "from": [address], "val": 0.2, "test": 0.2}
        )
        versions.ingest(project, "many")
    events = [event for _, event in seen.events]
    size = archive.stat().st_size
    assert Download("ingest", "many.zip", size, size) in events
    assert events.count(Images("ingest", 512)) == 2, "once brought, once decoded"
