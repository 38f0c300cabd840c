"""The table of `convoy schedule`."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def show_schedules(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print a row a deployment: when it runs, when next, and how it ended last."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("deployment", "cron", "time zone", "", "next (UTC)", "last"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        last = row["last"]
        ended = f"{last['state']}, {_minute(last['at'])}" if last else ""
        first = [row["deployment"]]
        for found in row["schedules"] or [None]:
            when = (
                [found["cron"], found["timezone"], "" if found["active"] else "paused"]
                if found
                else ["", "", "on demand"]
            )
            table.add_row(*first, *when, _minute(row["next"]), ended)
            first = [""]
    console.print(table)


def _minute(at: str | None) -> str:
    return at[:16].replace("T", " ") if at else ""
