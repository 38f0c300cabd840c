"""`convoy architectures`: the networks that can be trained."""

from typing import Annotated

import typer

from convoy.cli.terminal import Json, print_json
from convoy.errors import UsageError


def architectures(
    name: Annotated[str | None, typer.Argument(help="One of them, for its options.")] = None,
    as_json: Json = False,
) -> None:
    """List the networks: papers, parameters, costs, smallest images, published accuracies."""
    from convoy.architectures import names
    from convoy.catalogue import entries
    from convoy.project import Project

    try:
        memory = Project.find().state / "architectures.json"
    except UsageError:  # the list is the same outside of a project
        memory = None
    found = entries([name] if name else names(), memory)
    if as_json:
        print_json({entry.name: entry.model_dump(exclude={"name"}) for entry in found})
        return

    from rich.console import Console

    from convoy.architecture_tables import show_all, show_one

    if name:
        show_one(Console(), found[0])
    else:
        show_all(Console(), found)
