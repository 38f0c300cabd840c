"""What a person sees: a live display on a terminal, lines elsewhere, tables of 80 columns."""

import io
import logging
import re

from rich.console import Console

from convoy.display import _Screen, progress
from convoy.outcome import Outcome, Row
from convoy.progress import Download, Epoch, Planned, Step, logger, report
from convoy.tables import show_outcome


def _console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _a_run_at_work() -> None:
    report(Planned(("ingest", "train lenet5", "gate")))
    report(Step("ingest", "done", "1,167 train"))
    report(Step("train lenet5", "running"))
    report(Epoch("train lenet5", 3, 30, 0.25, 0.9512, 12.4))


def test_on_a_terminal_each_step_has_a_line_and_the_one_at_work_its_epoch() -> None:
    console = _console(terminal=True)
    with progress(console):
        _a_run_at_work()
    screen = _written(console).replace("\r", "\n")
    for words in ("ingest", "1,167 train", "train lenet5", "gate"):
        assert words in screen
    assert "epoch 3/30, loss 0.250, val. 95.1%, 12 s left" in screen


def test_a_word_from_a_step_at_work_does_not_start_its_clock_again() -> None:
    screen = _Screen(_console(terminal=True), Step("learning rate", "running"))
    began = dict(screen.began)
    screen.show(Step("learning rate", "running", "step 10 of 200 at most"))
    assert screen.began == began
    screen.show(Step("learning rate", "done"))
    screen.show(Step("learning rate", "running"))
    assert screen.began["learning rate"] > began["learning rate"]


def test_without_a_terminal_each_event_is_a_line_with_its_time() -> None:
    console = _console(terminal=False)
    with progress(console):
        _a_run_at_work()
    lines = _written(console).splitlines()
    assert len(lines) == 4
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S", line) for line in lines)
    assert lines[3].endswith("epoch 3/30, loss 0.2500, validation accuracy 95.12%, 12 s left")


def _a_download(console: Console, megabytes: int) -> str:
    with progress(console):
        report(Planned(("ingest",)))
        report(Step("ingest", "running"))
        report(Download("ingest", "set.tar.gz", megabytes * 10**6, 170_052_171), logging.DEBUG)
    return _written(console)


def test_on_a_terminal_a_download_has_its_bar() -> None:
    screen = _a_download(_console(terminal=True), megabytes=85)
    assert re.search(r"ingest +0 s ━━━+╸? *━* set.tar.gz, 85.0 of 170.1 MB", screen)
    assert logger.level == logging.INFO


def test_a_download_of_unknown_size_says_what_has_come() -> None:
    console = _console(terminal=True)
    with progress(console):
        report(Step("ingest", "running"))
        report(Download("ingest", "set.tar.gz", 1_234_567_890, None), logging.DEBUG)
    assert "set.tar.gz, 1,234.6 MB" in _written(console)


def test_a_download_that_is_done_leaves_the_line_of_its_step() -> None:
    console = _console(terminal=True)
    with progress(console):
        report(Step("ingest", "running"))
        report(Download("ingest", "set.tar.gz", 10, 10))
    assert "set.tar.gz" not in _written(console)


def test_without_a_terminal_a_download_is_told_of_by_its_tenths_alone() -> None:
    console = _console(terminal=False)
    assert "set.tar.gz" not in _a_download(console, megabytes=85)
    with progress(console):
        report(Download("ingest", "set.tar.gz", 85_026_086, 170_052_171))
    assert _written(console).endswith("ingest: set.tar.gz, 85.0 of 170.1 MB\n")


def test_nobody_is_told_after_the_display_has_ended() -> None:
    console = _console(terminal=False)
    with progress(console):
        pass
    _a_run_at_work()
    assert _written(console) == ""


def _outcome(kept: bool, allowed: bool) -> Outcome:
    row = Row(
        architecture="googlenet_3x3",
        run_id="0" * 32,
        kept=kept,
        val_accuracy=1.0,
        test_accuracy=0.9885,
        test_accuracy_low=0.971,
        test_accuracy_high=0.996,
        parameters=143_667_240,
        multiply_adds=19_632_000_000,
        seconds=12345.6,
        microseconds_per_image=123456,
    )
    return Outcome(
        dataset="digits",
        dataset_version="f08be26e50152853315cb8cc5531edc5.dir",
        experiment_id="1",
        run_id="1" * 32,
        rows=[row],
        model="digits",
        version="3",
        alias="champion" if allowed else "challenger",
        champion="3" if allowed else "2",
        allowed=allowed,
        reasons=["test accuracy 98.85% against the floor of 95.00%"],
        seconds=20.0,
        fit_seconds=15.0,
        samples=".convoy/samples/digits",
    )


def test_the_table_fits_80_columns_with_nothing_cut_off() -> None:
    console = _console(terminal=False)
    show_outcome(console, _outcome(kept=True, allowed=True), "http://address", unchanged=False)
    written = _written(console)
    assert "…" not in written
    for figure in ("98.85", "97.1-99.6", "143,667,240", "19,632", "12,346", "123,456"):
        assert figure in written
    assert "5.0 s around them" in written
    assert "kept, not trained again" in written


def test_a_refusal_says_who_serves_and_why_not_this_one() -> None:
    console = _console(terminal=False)
    show_outcome(console, _outcome(kept=False, allowed=False), "http://address", unchanged=True)
    written = _written(console)
    assert "Nothing to do" in written
    assert "digits version 3, alias challenger; champion is version 2" in written
    assert "refused" in written


def test_a_command_of_one_step_shows_that_step_and_no_start() -> None:
    console = _console(terminal=True)
    with progress(console, Step("ingest", "running")):
        report(Download("ingest", "set.tar.gz", 85 * 10**6, 170_052_171), logging.DEBUG)
        report(Step("ingest", "done"), logging.DEBUG)
    screen = _written(console)
    assert "✓ ingest" in screen and "start" not in screen
