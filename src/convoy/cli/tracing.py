"""`convoy lineage | reproduce | gc`: where a version came from, made again, and what may go."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from convoy.cli.terminal import Json, client, print_json, project
from convoy.errors import UsageError


def lineage(
    target: Annotated[
        str,
        typer.Argument(help="NAME@ALIAS, NAME/VERSION, a run, a dataset version or an image file."),
    ],
    svg: Annotated[Path | None, typer.Option(help="Draw the (first) chain into this file.")] = None,
    as_json: Json = False,
) -> None:
    """Tell which data, code, settings and decisions are behind something."""
    if svg and not svg.absolute().parent.is_dir():
        raise UsageError(f"{svg} cannot be written: there is no folder {svg.absolute().parent}.")
    connected = client()

    from rich.console import Console

    from convoy.lineage import trace
    from convoy.lineage_drawing import draw
    from convoy.lineage_tables import show_lineage

    found = trace(connected, project(), target)
    if svg:
        svg.write_text(draw(found.chains[0]), encoding="utf-8")
    if as_json:
        print_json(asdict(found))
    else:
        show_lineage(Console(), found)
