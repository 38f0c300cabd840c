"""The tables of `convoy data`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from convoy.ingestion.classes import ordered
from convoy.splits import SPLITS
from convoy.tables import new_table

if TYPE_CHECKING:
    from convoy.versions import Version, journal
    from convoy.versions.difference import Difference

FINDINGS = 5
"""Findings of a severity that are printed; the page has all."""
CLASSES = 5
"""Classes that are printed on a line."""

_STYLES = {"refused": "bold red", "quarantined": "red", "warning": "yellow", "duplicate": "cyan"}
_REST = {"refused": "reasons", "warning": "warnings", "duplicate": "duplicates"}


def show_dataset(
    console: Console, report: Mapping[str, Any], version: "Version | None", page: str
) -> None:
    """Print what ingestion says of a dataset: counts, what was left out, and where the page is.

    The error that ends the command says the first reason of a refusal: here are the others.
    """
    name = f"version {version.hash[:12]}" if version else "refused"
    console.print(Text(f"{report['name']}, {name}", style="bold"), soft_wrap=True)
    table = new_table()
    table.add_column("class", no_wrap=True)
    for split in SPLITS:
        table.add_column(split, justify="right")
    for label in report["classes"]:
        table.add_row(Text(label), *(f"{report['counts'][s][label]:,}" for s in SPLITS))
    sums = (f"{sum(report['counts'][split].values()):,}" for split in SPLITS)
    table.add_row("all", *sums, style="bold")
    console.print(table)
    totals = report["totals"]
    console.print(
        f"{_many(totals['found'], 'file')}: {totals['kept']:,} kept, "
        f"{_many(totals['duplicates'], 'duplicate')}, {totals['quarantined']:,} quarantined, "
        f"{totals['ignored']:,} ignored."
    )
    for severity, style in _STYLES.items():
        found = report["findings"][severity]
        said_elsewhere = int(severity == "refused")
        for finding in found["listed"][said_elsewhere : said_elsewhere + FINDINGS]:
            where = f"{finding['path']}: " if finding["path"] else ""
            said = f": {where}{finding['reason']}: {finding['mend']}."
            console.print(Text.assemble((severity, style), said), soft_wrap=True)
        more = found["total"] - said_elsewhere - FINDINGS
        if more > 0:
            rest = _REST.get(severity, severity)
            console.print(f"... and {more:,} more {rest}, on the page.", highlight=False)
    for flag in version.flags if version else ():
        console.print(Text(f"Note: {flag}."), soft_wrap=True)
    console.print(f"The page: {page}", soft_wrap=True)


def show_dataset_versions(
    console: Console, name: str, versions: Sequence["journal.Entry"], present: str | None
) -> None:
    """Print the versions of a dataset, the newest last."""
    if not versions:
        console.print(f"{name} has no version yet: run `convoy data check {name}`.")
        return
    table = new_table(name)
    for head in ("version", "date", "images", "by class", "commit", "tags"):
        table.add_column(head, justify="right" if head == "images" else "left")
    for entry in versions:
        by_class: Counter[str] = Counter()
        for found in entry.counts.values():
            by_class.update(found)
        shown = [f"{label} {count:,}" for label, count in list(by_class.items())[:CLASSES]]
        more = f", and {len(by_class) - CLASSES} more" if len(by_class) > CLASSES else ""
        table.add_row(
            f"{entry.hash[:12]}{' *' if entry.hash == present else ''}",
            entry.date[:16].replace("T", " "),
            f"{by_class.total():,}" if by_class else "not here",
            Text(f"{', '.join(shown)}{more}"),
            entry.commit[:9] or "not committed",
            ", ".join(entry.tags),
        )
    console.print(table)
    console.print("* is what dvc.lock records.", style="dim")


def show_difference(console: Console, one: str, other: str, found: "Difference") -> None:
    """Print what changed between two versions, by class."""
    console.print(f"{one[:12]} to {other[:12]}", style="bold", highlight=False)
    table = new_table()
    table.add_column("class")
    for head in ("before", "added", "removed", "relabelled", "after"):
        table.add_column(head, justify="right")
    came: Counter[str] = Counter()
    for changes in found.relabelled.values():
        came.update(changes)
    for label in ordered({*found.before, *found.after}):
        away = sum(found.relabelled.get(label, {}).values())
        table.add_row(
            Text(label),
            f"{found.before.get(label, 0):,}",
            _signed("+", found.added.get(label, 0)),
            _signed("-", found.removed.get(label, 0)),
            f"+{came[label]:,} -{away:,}" if came[label] or away else "0",
            f"{found.after.get(label, 0):,}",
        )
    table.add_row(
        "all",
        f"{sum(found.before.values()):,}",
        _signed("+", sum(found.added.values())),
        _signed("-", sum(found.removed.values())),
        f"{came.total():,}",
        f"{sum(found.after.values()):,}",
        style="bold",
    )
    console.print(table)
    for move, count in found.moved.items():
        was, now = move.split(" -> ")
        console.print(f"{_many(count, 'image')} moved from {was} to {now}.")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _signed(sign: str, count: int) -> str:
    return f"{sign}{count:,}" if count else "0"
