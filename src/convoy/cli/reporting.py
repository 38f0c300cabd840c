"""`convoy report`: the page of a pipeline run, made again."""

from pathlib import Path
from typing import Annotated

import typer

from convoy.cli.terminal import Json, plan_of, print_json
from convoy.errors import ConvoyError, UsageError


def report(
    run: Annotated[str | None, typer.Argument(help="A pipeline run's MLflow id.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose last pipeline run.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; otherwise one in .convoy/reports.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a pipeline run again, from what MLflow keeps of it."""
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}; create it first.")
    plan = plan_of(dataset)
    plan.project.create_state()

    from convoy import store, tracking
    from convoy.addresses import artifact_address, mlflow_interface
    from convoy.files import write_atomically
    from convoy.kept import keep_text
    from convoy.report import REPORT
    from convoy.report.collect import collect, numbers
    from convoy.report.page import page

    client = store.connect(plan.project)
    if run is None:
        latest = tracking.latest_pipeline(
            client, store.experiment(client, plan.project, plan.dataset)
        )
        if latest is None:
            raise UsageError(f"no finished run on {plan.dataset!r} yet: start with `convoy run`.")
        run = str(latest.info.run_id)
    found = collect(client, run)
    html = page(found)
    keep_text(client, found.run_id, html, REPORT)
    file = output or plan.project.reports(found.data.name) / f"{found.run_id}.html"
    try:
        if output is None:
            file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file.absolute(), html.encode(errors="replace"))
    except OSError as error:
        raise ConvoyError(
            f"cannot write {file} ({error.strerror}): give this user the right, or name another "
            f"with --output."
        ) from None
    address = artifact_address(mlflow_interface(), found.experiment_id, found.run_id, REPORT)
    if as_json:
        print_json({**numbers(found), "file": str(file), "address": address})
        return
    typer.echo(f"{found.name}: {', '.join(one.architecture for one in found.networks)}")
    for what, reason in found.missing.items():
        typer.echo(f"Missing: {what} ({reason}).")
    typer.echo(f"The page: {file}\nIn the MLflow UI, while `make up` runs: {address}")
