"""What `convoy architectures` shows: all networks by their papers, or one with its options."""

from collections.abc import Sequence
from itertools import groupby
from string import ascii_lowercase

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convoy.catalogue import Accuracy, Entry
from convoy.tables import new_table

# heads and widths: each paper has a table of its own, and all of them line up
COLUMNS = (
    ("name", 14),
    ("counted\nat", 9),
    ("\nparameters", 11),
    ("mult-adds\nM", 9),
    ("memory\nMB", 6),
    ("smallest\npixels", 8),
    ("top-1\n%", 5),
    ("top-5\n%", 5),
    ("", 1),
)


def show_all(console: Console, entries: Sequence[Entry]) -> None:
    """Print the networks, the oldest paper first; fits a terminal of 80."""
    marks: dict[str, str] = {}
    console.print(_table(heads=True))
    ordered = sorted(entries, key=lambda entry: (entry.year, entry.paper))
    for (year, paper), written in groupby(ordered, key=lambda entry: (entry.year, entry.paper)):
        head = Table.grid(padding=(0, 2))
        head.add_row(str(year), paper, style="cyan")
        console.print(head)
        table = _table(heads=False)
        for entry in written:
            table.add_row(*_cells(entry, marks))
        console.print(table)
    console.print(
        "\nFor one image at the input of its paper; memory is what a training step in float32 "
        "keeps of it.\nParameters are those of an evaluation. Accuracies are published ones:",
        style="dim",
    )
    for source, mark in marks.items():
        console.print(Text(f"{mark}  {source}", style="dim"))
    console.print("\nOptions and published weights of one: [bold cyan]convoy architectures NAME[/]")


def show_one(console: Console, entry: Entry) -> None:
    """Print one network with all that may be chosen of it."""
    console.print(Text(entry.name, style="bold"))
    console.print(Text(f"{entry.paper} ({entry.year})\n", style="cyan"))
    facts = Table.grid(padding=(0, 2))
    for what, said in _facts(entry).items():
        facts.add_row(Text(what, style="dim"), said)
    console.print(facts)
    if not entry.options:
        return
    table = new_table()
    for head in ("option", "default", "it may be"):
        table.add_column(head, overflow="fold")
    for name, option in entry.options.items():
        default = "of the form" if option.default is None else _yaml(option.default)
        table.add_row(name, default, option.allowed)
    console.print(table)
    name, option = next(iter(entry.options.items()))
    console.print("A recipe in params.yaml chooses, or a run:", style="dim")
    example = f"convoy run --set recipes.{entry.name}.options.{name}=VALUE"
    console.print(Text(example, style="bold cyan"))


def _table(heads: bool) -> Table:
    table = Table(box=None, show_header=heads, padding=(0, 1, 0, 0), pad_edge=False)
    for head, width in COLUMNS:
        left = head in ("name", "")
        table.add_column(
            head, width=width, justify="left" if left else "right", no_wrap=True, vertical="bottom"
        )
    return table


def _cells(entry: Entry, marks: dict[str, str]) -> list[str]:
    mark, top1, top5 = "", "-", "-"
    if found := entry.accuracy:
        source = f"{found.on}: {found.source}"
        mark = marks.setdefault(source, ascii_lowercase[len(marks)])
        top1, top5 = _percent(found.top1), _percent(found.top5)
    task = entry.task
    return [
        f" {entry.name}",
        f"{task.channels}x{task.side}x{task.side}",
        f"{entry.parameters - entry.training_only:,}",
        f"{entry.multiply_adds / 1e6:,.{0 if entry.multiply_adds >= 1e8 else 2}f}",
        f"{entry.activation_bytes / 1e6:.{1 if entry.activation_bytes >= 1e6 else 2}f}",
        str(entry.smallest),
        top1,
        top5,
        mark,
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def _facts(entry: Entry) -> dict[str, str]:
    task, alone = entry.task, entry.training_only
    counted = f"counted at {task.channels} x {task.side} x {task.side}, {task.classes} classes"
    facts = {
        "smallest image": f"{entry.smallest} x {entry.smallest} pixels, of 1 to 4 channels",
        "parameters": f"{entry.parameters - alone:,} ({counted})",
        "in training": f"{alone:,} parameters more" if alone else "",
        "multiply-adds": f"{entry.multiply_adds:,} for one image",
        "memory": f"{entry.activation_bytes:,} bytes for one image in training, in float32",
        "accuracy": _accuracy(entry.accuracy) if entry.accuracy else "",
        "weights": _weights(entry) if entry.weights else "none are published for this form",
        "written in": entry.file,
    }
    return {what: said for what, said in facts.items() if said}


def _accuracy(found: Accuracy) -> str:
    shares = {"top-1": found.top1, "top-5": found.top5}
    said = ", ".join(f"{what} {share:g} %" for what, share in shares.items() if share is not None)
    return f"{said} on {found.on} ({found.source})"


def _weights(entry: Entry) -> str:
    assert entry.weights
    mean, std = (", ".join(f"{v:g}" for v in w) for w in (entry.weights.mean, entry.weights.std))
    return (
        f"the state dict that torchvision publishes, by `weights` in a recipe; for RGB images of "
        f"64 pixels or more, whose levels then become (level - mean) / std with mean {mean} and "
        f"std {std}"
    )


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
