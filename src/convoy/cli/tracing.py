"""`convoy lineage | reproduce`: where a version came from, and the way there again."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from convoy.cli.terminal import Json, client, print_json, project
from convoy.errors import NotReproducible, UsageError


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


def reproduce(
    model: Annotated[str, typer.Argument(help="NAME@ALIAS or NAME/VERSION.")],
    deterministic: Annotated[
        bool, typer.Option(help="Demand the same weights, bit for bit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a version again from its commit, data and settings, and compare."""
    name, at, wanted = model.replace("/", "@").partition("@")
    if not at or not wanted:
        raise UsageError(f"{model!r} is not NAME@ALIAS or NAME/VERSION, as in digits@champion.")
    here, connected = project(), client()

    from rich.console import Console

    from convoy import registry
    from convoy.display import progress
    from convoy.lineage_tables import show_reproduction
    from convoy.reproduction import reproduce as make_again

    chosen = registry.version(connected, name, wanted)
    with progress(Console(stderr=True)):
        found = make_again(connected, here, chosen, deterministic)
    if as_json:
        print_json({**asdict(found), "equal": found.is_equal, "within": found.is_within})
    else:
        show_reproduction(Console(), found)
    if not (found.is_equal if deterministic else found.is_equal or found.is_within):
        expected = "its weights" if deterministic else "an accuracy within its interval"
        raise NotReproducible(f"{name} version {found.version} did not come out with {expected}.")
