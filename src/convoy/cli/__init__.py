"""The command line. Heavy libraries are imported inside the commands that need them, after their
arguments have been checked, so that `--help` answers at once.
"""

import gc
import sys
from typing import NoReturn

import typer

from convoy.cli import (
    comparing,
    data,
    finder,
    garbage,
    networks,
    pipeline,
    registered,
    remote,
    reporting,
    scheduling,
    sweeps,
    team,
    tracing,
)
from convoy.errors import ConvoyError

app = typer.Typer(
    help=(
        "Convoy takes a set of labelled images to a model that may serve, again and again, and can "
        "say of each that ever served what made it and what it replaced."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    pipeline.run,
    pipeline.train,
    sweeps.sweep,
    comparing.compare,
    reporting.report,
    registered.models,
    registered.promote,
    registered.rollback,
    registered.history,
    registered.verify,
    registered.predict,
    tracing.lineage,
    tracing.reproduce,
    garbage.gc,
    networks.architectures,
    finder.find,
    remote.submit,
    remote.worker,
    pipeline.up,
    scheduling.schedule,
    scheduling.trigger,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(team.app, name="team")


def main() -> NoReturn:
    """Run the command line; what a user can cause ends in one sentence and its exit code."""
    # Imports make objects by the hundred thousand that all stay: looking through them for garbage
    # takes a sixth of an import's time, and most of what Python needs to end.
    gc.set_threshold(50_000)
    try:
        app()
    except ConvoyError as error:
        sys.stderr.write(f"convoy: {error}\n")
        sys.exit(error.exit_code)
    finally:
        gc.freeze()
    sys.exit(0)
