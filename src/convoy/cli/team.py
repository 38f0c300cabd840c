"""`convoy team grant | pool`: who may do what on a team's MLflow server, and what a pool runs."""

import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from convoy.cli.terminal import Json, print_json, project
from convoy.errors import UsageError, nearest

app = typer.Typer(
    help="A team's servers: roles, and templates of work pools.", no_args_is_help=True
)

PASSWORD = "CONVOY_NEW_PASSWORD"


@app.command()
def grant(
    user: Annotated[str, typer.Argument(help="A user of MLflow's server.")],
    role: Annotated[str, typer.Argument(help="viewer, member or promoter.")],
    as_json: Json = False,
) -> None:
    """Give a user a role, and a new user a password (from a prompt, or standard input)."""
    from convoy.team.roles import ROLES

    if role not in ROLES:
        raise UsageError(f"unknown role {role!r}: {nearest(role, ROLES)}")
    project()

    from convoy.team.administration import Administration

    server = Administration(os.environ["MLFLOW_TRACKING_URI"])
    granted = server.grant(user, role, lambda: _password(user))
    if as_json:
        print_json(asdict(granted))
    else:
        new = "is new and " if granted.created else ""
        typer.echo(f"{user} {new}has the role {role}.")


@app.command()
def pool(
    kind: Annotated[str, typer.Argument(help="docker or kubernetes.")],
    image: Annotated[str, typer.Option(help="Convoy's image, as deploy/README.md builds it.")] = "",
    gpus: Annotated[int, typer.Option(help="GPUs a run.")] = 0,
) -> None:
    """Print what a work pool starts for each run: Prefect's base job template."""
    from convoy.team import pools

    print_json(pools.template(kind, image, gpus))


def _password(user: str) -> str:
    """Ask for a new user's password; never in a command line, where every process may read it."""
    if told := os.environ.get(PASSWORD):
        return told
    if sys.stdin.isatty():
        return str(typer.prompt(f"Password of {user}", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
