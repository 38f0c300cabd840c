"""The table that a sweep ends with, and the command that trains with what it found."""

import shlex

from rich.console import Console
from rich.text import Text

from convoy.space import Value
from convoy.sweep_outcome import SweepOutcome, TrialRow
from convoy.tables import new_table, show_flags


def show_sweep(console: Console, outcome: SweepOutcome, compare: str, unchanged: bool) -> None:
    """Print the trials, the best first, and what a person wants next."""
    if unchanged:
        console.print(
            "[bold]Nothing to do:[/] all trials have ended; code, settings and data are the same.\n"
        )
    version = outcome.dataset_version.removesuffix(".dir")[:12]
    table = new_table(f"{outcome.architecture} on {outcome.dataset}, version {version}")
    table.add_column("trial", justify="right")
    names = list(outcome.rows[0].values) if outcome.rows else []
    for name in names:
        table.add_column(name.replace(".", ".\n").replace("_", "_\n"), justify="right")
    table.add_column("val.\n%", justify="right")
    table.add_column("val.\nloss", justify="right")
    table.add_column("epochs", justify="right")
    table.add_column("state")
    table.add_column("run id", no_wrap=True)
    best = outcome.best
    for row in outcome.rows:
        style = "bold" if row is best else "" if row.state == "complete" else "dim"
        table.add_row(*_cells(row, names), style=style)
    console.print(table)
    show_flags(console, outcome.flags)
    for row in outcome.rows:
        if row.reason:
            text = f"Trial {row.number} failed: {row.reason}"
            console.print(Text(text, style="yellow"), soft_wrap=True)
    if outcome.importances:
        shares = (f"{name} {share:.0%}" for name, share in outcome.importances.items())
        console.print(f"What made the difference: {', '.join(shares)}.", style="dim")
    if best:
        console.print(f"\nTo run the pipeline with trial {best.number}, which stays as trained:")
        chosen = " ".join(f"--set {shlex.quote(setting)}" for setting in outcome.settings)
        command = f"convoy run --dataset {outcome.dataset} --architectures {outcome.architecture}"
        console.print(Text(f"{command} {chosen}", style="bold cyan"), soft_wrap=True)
    console.print("\nThese trials compared in the MLflow UI, while `make up` runs:")
    console.print(compare, markup=False, soft_wrap=True)


def _cells(row: TrialRow, names: list[str]) -> list[str]:
    return [
        str(row.number),
        *(_shown(row.values.get(name)) for name in names),
        "-" if row.val_accuracy is None else f"{row.val_accuracy * 100:.1f}",
        "-" if row.val_loss is None else f"{row.val_loss:.4f}",
        "-" if row.epochs is None else str(row.epochs),
        row.state,
        "-" if row.run_id is None else row.run_id[:8],
    ]


def _shown(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "off"}[value]
    return f"{value:.3g}" if isinstance(value, float) else str(value)
