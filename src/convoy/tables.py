"""The tables that commands end with; what does not fit a table says itself in a sentence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from convoy.outcome import Outcome, Trained

if TYPE_CHECKING:
    from convoy.inference.predict import Prediction
    from convoy.journal import Entry, Service
    from convoy.registry import Registered


def show_outcome(console: Console, outcome: Outcome, compare: str, unchanged: bool) -> None:
    """Print the table, the verdict, and what a person wants next."""
    if unchanged:
        console.print(
            "[bold]Nothing to do:[/] code, settings and data are those of the last run. "
            "Its results:\n"
        )
    _show_rows(console, outcome)
    console.print(_verdict(outcome))
    if not unchanged:
        overhead = outcome.seconds - outcome.fit_seconds
        console.print(
            f"{outcome.seconds:.1f} s in all, {outcome.fit_seconds:.1f} s of them inside the fits "
            f"and {overhead:.1f} s around them.\n",
            style="dim",
        )
    console.print(_next_steps(outcome))
    console.print("\nThese runs compared in the MLflow UI, while `make up` runs:")
    console.print(compare, markup=False, soft_wrap=True)


def show_trained(console: Console, trained: Trained) -> None:
    """Print the table of trainings that no gate has judged."""
    _show_rows(console, trained)
    console.print("Nothing was registered: `convoy run` lets the gate judge what it trains.")


def _show_rows(console: Console, trained: Trained) -> None:
    console.print(_table(trained))
    show_flags(console, trained.flags)


def show_flags(console: Console, flags: Sequence[str]) -> None:
    """Print why a dataset version could not be had again elsewhere."""
    for flag in flags:
        console.print(Text(f"Note on the dataset version: {flag}.", style="yellow"), soft_wrap=True)


def _table(trained: Trained) -> Table:
    version = trained.dataset_version.removesuffix(".dir")[:12]
    title = f"{trained.dataset}, version {version}"
    table = new_table(title)
    table.add_column("architecture", no_wrap=True)
    heads = (
        "val.\n%",
        "test\n%",
        "95 %\ninterval",
        "parameters",
        "mult-\nadds, M",
        "train\ns",
        "µs an\nimage",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    best = max(row.val_accuracy for row in trained.rows)
    for row in trained.rows:
        table.add_row(
            row.architecture + (" [cyan]=[/]" if row.kept else ""),
            f"{row.val_accuracy * 100:.1f}",
            f"{row.test_accuracy * 100:.2f}",
            f"{row.test_accuracy_low * 100:.1f}-{row.test_accuracy_high * 100:.1f}",
            f"{row.parameters:,}",
            digits(row.multiply_adds / 1e6),
            digits(row.seconds),
            digits(row.microseconds_per_image),
            style="bold" if row.val_accuracy == best else "",
        )
    if any(row.kept for row in trained.rows):
        table.caption = "= nothing that decides it had changed: kept, not trained again"
        table.caption_justify = "left"
    return table


def new_table(title: str | None = None) -> Table:
    # Nothing but the border's space between columns, so that it fits a terminal of 80.
    return Table(
        title=title,
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )


def digits(value: float) -> str:
    """Three or four digits say enough of a cost."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _verdict(outcome: Outcome) -> RenderableType:
    word, style = ("allowed", "green") if outcome.allowed else ("refused", "red")
    now = "" if outcome.champion == outcome.version else f"; champion is version {outcome.champion}"
    lines = [
        Text.assemble(
            (f"{outcome.model} version {outcome.version}", "bold"),
            f", {f'alias {outcome.alias}' if outcome.alias else 'no alias'}{now}",
        ),
        Text.assemble("The gate ", (word, f"bold {style}"), " it:"),
        *(Text(f"  - {reason}") for reason in outcome.reasons),
    ]
    if outcome.waits:
        decide = f"convoy promote {outcome.model} {outcome.version} --reason ..."
        lines.append(Text.assemble("It waits for a person: ", (decide, "bold")))
    return Panel(Group(*lines), expand=False, border_style=style)


def _next_steps(outcome: Outcome) -> RenderableType:
    rows = (
        ("compare in the MLflow UI, and schedule it nightly", "make up"),
        ("the figures of these runs again", "convoy compare"),
        ("another value: only lenet5 trains again", "convoy run --set recipes.lenet5.epochs=40"),
        (
            "what it says of images",
            f"convoy predict {outcome.model}@{outcome.alias or outcome.version} {outcome.samples}",
        ),
    )
    lines = [Text("Next, after `. .venv/bin/activate`:")]
    for what, command in rows:
        lines += [Text(f"  # {what}", style="dim"), Text(f"  {command}", style="bold cyan")]
    return Group(*lines)


def show_versions(console: Console, versions: "Sequence[Registered]") -> None:
    """Print registered versions, newest first."""
    if not versions:
        console.print("No model is registered yet: start with `convoy run`.")
        return
    table = new_table()
    for head in ("model", "version", "alias", "architecture", "test", "dataset version", "commit"):
        table.add_column(head)
    table.add_column("gate", overflow="fold")
    for version in versions:
        tags, verdict = version.tags, version.verdict
        said = "allowed" if verdict.get("allowed") else "refused" if verdict else "-"
        accuracy = tags.get("convoy.test_accuracy")
        table.add_row(
            version.name,
            version.version,
            ", ".join(version.aliases),
            tags.get("convoy.architecture", "-"),
            f"{float(accuracy):.2%}" if accuracy else "-",
            tags.get("convoy.dataset_version", "-")[:12],
            tags.get("convoy.commit", "-")[:8],
            said,
        )
    console.print(table)


def show_history(console: Console, name: str, entries: "Sequence[Entry]") -> None:
    """Print the journal of a model, oldest first."""
    if not entries:
        console.print(f"{name} has never had a champion.")
        return
    table = new_table(f"what served as {name}")
    for head in ("when (UTC)", "what", "version", "instead of", "by"):
        table.add_column(head)
    table.add_column("why", overflow="fold")
    for entry in entries:
        what = entry.action if entry.state == "done" else f"{entry.action} ({entry.state})"
        table.add_row(
            _time(entry.at),
            what,
            entry.version or "none",
            entry.previous or "-",
            entry.by,
            entry.reason,
        )
    console.print(table)


def show_services(console: Console, name: str, date: str, services: "Sequence[Service]") -> None:
    """Say in a sentence each what served at a date, and why."""
    if not services:
        console.print(f"Nothing served as {name} on {date}.")
    for service in services:
        entry = service.entry
        who = f"version {service.version}" if service.version else "no version"
        until = f"until {_time(service.end)}" if service.end else "and still does"
        how = {"promote": "promoted", "rollback": "rolled back to", "noticed": "noticed"}
        console.print(
            f"{name}: {who} served from {_time(service.begin)} {until} (UTC); "
            f"{how[entry.action]} by {entry.by}: {entry.reason}.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _time(stamp: str) -> str:
    return stamp.removesuffix("+00:00").replace("T", " ")


def show_predictions(console: Console, predictions: "Sequence[Prediction]") -> None:
    """Print a line a file."""
    table = new_table()
    table.add_column("file", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for found in predictions:
        if found.refused:
            table.add_row(found.file, Text(found.refused, style="red"), "")
        else:
            table.add_row(found.file, Text(str(found.label)), f"{found.probability:.1%}")
    console.print(table)
