"""`convoy gc`: what nothing leads to any more, listed, and removed once a person has agreed."""

import sys
from typing import Annotated

import typer

from convoy.cli.terminal import Json, print_json, project
from convoy.errors import UsageError


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would go, and why.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what no alias, tag, branch or recent champion leads to; asks before it does."""
    if dry_run and yes:
        raise UsageError("--dry-run removes nothing and --yes all that it lists: give one of them.")
    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise UsageError(
            "nobody can be asked here: say --dry-run to list what would go, or --yes to remove it."
        )
    here = project()

    from rich.console import Console

    from convoy import garbage
    from convoy.garbage_tables import show_garbage, summary

    console = Console()
    found = garbage.survey(here)
    if not as_json:
        show_garbage(console, found)
    agreed = not dry_run and bool(found)
    if agreed and not yes:
        agreed = typer.confirm(f"Remove these {summary(found)}?")
    removed = garbage.collect(here, found) if agreed else []
    if as_json:
        print_json(
            {"found": [i.to_json() for i in found], "removed": [i.to_json() for i in removed]}
        )
    elif found:
        said = f"{summary(removed)} removed" if agreed else f"{summary(found)}; nothing was removed"
        console.print(f"{said}.", highlight=False)
        if agreed and len(removed) < len(found):
            console.print("The rest is reached by now, and stays.")
