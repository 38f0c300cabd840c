"""What a person sees of a run at work: a live display on a terminal, plain lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from convoy.progress import Download, Epoch, Event, Images, Planned, Step, logger

_MARKS = {
    "waiting": Text("·", style="dim"),
    "done": Text("✓", style="green"),
    "kept": Text("=", style="cyan"),
    "failed": Text("✗", style="red"),
}


START = Step("start", "running", "libraries and servers")


@contextmanager
def progress(console: Console, first: Step = START) -> Iterator[None]:
    """Show what is reported inside: live on a terminal, as timestamped lines elsewhere.

    `first` is the step that is at work when the display begins.
    """
    handler: logging.Handler
    if console.is_terminal:
        screen = _Screen(console, first)
        handler = _Forward(screen.show)
        shown = screen.live
    else:
        handler, shown = _Lines(console), None
    logger.addHandler(handler)
    logger.propagate = False
    level = logger.level
    if console.is_terminal:
        logger.setLevel(logging.DEBUG)
    try:
        if shown is None:
            yield
        else:
            with shown:
                yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(level)


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        self.console.print(f"{now}  {record.getMessage()}", markup=False, soft_wrap=True)


class _Forward(logging.Handler):
    def __init__(self, show: Callable[[Event], None]) -> None:
        super().__init__()
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        event: Event = vars(record)["event"]
        self.show(event)


class _Screen:
    """The steps of a run, one line each; the one at work with its bar."""

    def __init__(self, console: Console, first: Step) -> None:
        self.steps: dict[str, Step] = {first.name: first}
        self.newest: dict[str, Epoch | Download | Images] = {}
        self.began: dict[str, float] = {first.name: time.monotonic()}
        self.took: dict[str, float] = {}
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=5)

    def show(self, event: Event) -> None:
        match event:
            case Planned(steps=steps):
                self._end(START.name)
                self.steps[START.name] = Step(START.name, "done")
                self.steps.update({name: Step(name, "waiting") for name in steps})
            case Step(name=name, state=state):
                before = self.steps.get(name)
                self.steps[name] = event
                if state != "running":
                    self._end(name)
                elif before is None or before.state != "running":
                    self.began[name] = time.monotonic()
            case Download(step=step, done_bytes=done, total_bytes=total) if done == total:
                self.newest.pop(step, None)
            case Epoch(step=step) | Download(step=step) | Images(step=step):
                self.newest[step] = event

    def _end(self, name: str) -> None:
        if name in self.began:
            self.took[name] = time.monotonic() - self.began[name]

    def render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, step in self.steps.items():
            running = step.state == "running"
            mark: RenderableType = (
                Spinner("dots", style="yellow") if running else _MARKS[step.state]
            )
            seconds = self.took.get(name)
            if running:
                seconds = time.monotonic() - self.began[name]
            clock = Text("" if seconds is None else f"{seconds:5.0f} s", style="dim")
            style = "bold" if running else "dim" if step.state == "waiting" else ""
            table.add_row(mark, Text(name, style=style), clock, self._detail(step))
        return table

    def _detail(self, step: Step) -> RenderableType:
        event = self.newest.get(step.name)
        if step.state != "running" or event is None:
            return Text("unchanged, kept" if step.state == "kept" else step.detail, style="dim")
        if isinstance(event, Images):
            return Text(f"{event.done:,} images")
        row = Table.grid(padding=(0, 1))
        match event:
            case Epoch(epoch=epoch, epochs=epochs):
                bar = ProgressBar(total=epochs, completed=epoch, width=8)
                words = (
                    f"epoch {epoch}/{epochs}, loss {event.loss:.3f}, "
                    f"val. {event.val_accuracy:.1%}, {event.seconds_left:.0f} s left"
                )
            case Download(done_bytes=done, total_bytes=total):
                bar = ProgressBar(total=total, completed=done, width=8)
                words = f"{event.file}, {event.amount}"
        row.add_row(bar, Text(words))
        return row
