"""What `convoy gc` prints: a table of what nothing leads to, by size, and how much that is."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from convoy.garbage.item import Item
from convoy.tables import new_table

SHORT = 12
"""Characters that are shown of a run's id, a model's or a key."""


def show_garbage(console: Console, items: Sequence[Item]) -> None:
    """Print what nothing leads to, the largest first."""
    if not items:
        console.print("Nothing to remove: all that is here is kept, or too young to go.")
        return
    table = new_table()
    table.add_column("kind")
    table.add_column("what", overflow="fold")
    for head in ("files", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for item in sorted(items, key=lambda one: (-one.size, one.kind, one.name)):
        name = item.name[:SHORT] if item.kind in ("run", "training") else item.name
        table.add_row(item.kind, Text(name), f"{item.files:,}", size_of(item.size), Text(item.why))
    console.print(table)


def summary(items: Sequence[Item]) -> str:
    """Say how much that is, as "3 things, 1.2 MiB"."""
    noun = "thing" if len(items) == 1 else "things"
    return f"{len(items):,} {noun}, {size_of(sum(item.size for item in items))}"


def size_of(count: int) -> str:
    """Return bytes as people read them."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
