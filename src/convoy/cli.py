"""The command line. Heavy libraries are imported inside the commands that need them, after their
arguments have been checked, so that `--help` answers at once.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from convoy.errors import ConvoyError, DataRefused, GateRefused, Stopped, UsageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from convoy.outcome import Outcome
    from convoy.plan import Plan
    from convoy.project import Project

app = typer.Typer(
    help=(
        "Convoy takes a set of labelled images to a model that may serve, again and again, and can "
        "say of each that ever served what made it and what it replaced."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Model = Annotated[str, typer.Argument(help="A registered model's name.")]


def main() -> NoReturn:
    """Run the command line; what a user can cause ends in one sentence and its exit code."""
    try:
        app()
    except ConvoyError as error:
        sys.stderr.write(f"convoy: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(0)


@app.command()
def run(
    dataset: Annotated[str | None, typer.Option(help="An entry of params.yaml.")] = None,
    architectures: Annotated[
        str | None, typer.Option(help="Names with commas between, or all.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for this run alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline: ingest, train, evaluate, register, gate, promote."""
    from convoy import outcome, versions
    from convoy.addresses import compare_address, mlflow_interface
    from convoy.plan import make_plan

    project = _project()
    chosen = [name.strip() for name in architectures.split(",")] if architectures else []
    plan = make_plan(project, dataset, chosen, settings or [])
    kept = outcome.unchanged(plan)
    if kept is None:
        versions.check(project, plan.dataset)  # refused here, before anything is started
    result = kept or _run(plan, settings or [])
    runs = [row.run_id for row in result.rows]
    address = compare_address(mlflow_interface(), result.experiment_id, runs)
    if as_json:
        _print_json({**result.model_dump(), "unchanged": kept is not None, "compare": address})
    else:
        from rich.console import Console

        from convoy.tables import show_outcome

        show_outcome(Console(), result, address, unchanged=kept is not None)
    if not result.allowed:
        still = f"champion is version {result.champion}" if result.champion else "no champion yet"
        raise GateRefused(f"the gate refused {result.model} version {result.version}; {still}.")


def _run(plan: "Plan", settings: list[str]) -> "Outcome":
    from rich.console import Console

    from convoy.display import progress

    # The display shows what happens and `main` the error that ends a run; Prefect's pages keep all.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with progress(Console(stderr=True)):
        from convoy.outcome import Outcome
        from convoy.prefect_server import PrefectServer
        from convoy.programs.launcher import start_launcher, warm

        # Both take seconds to start: let them, while this process imports what it needs.
        plan.project.create_state()
        server = None
        if "PREFECT_API_URL" not in os.environ:
            server = PrefectServer(plan.project.state / "prefect-server.log")
        with start_launcher(plan.project) as launcher:
            warm.set(launcher)
            from flows.pipeline import pipeline

            if server:
                server.wait()
            try:
                found = pipeline(plan.dataset, list(plan.architectures), settings)
            except KeyboardInterrupt:
                raise Stopped("stopped; the same command goes on from here.") from None
    return Outcome.model_validate(found)


@app.command()
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="MLflow run ids.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose last pipeline run.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: the last pipeline's, or those that are named."""
    plan = _plan_of(dataset)

    from rich.console import Console

    from convoy import comparison
    from convoy.tables import show_comparison

    found = comparison.compare(plan, runs or [])
    if as_json:
        _print_json(asdict(found))
    else:
        show_comparison(Console(), found)


@app.command()
def models(as_json: Json = False) -> None:
    """List the registered models with their versions."""
    client = _client()

    from rich.console import Console

    from convoy import registry
    from convoy.tables import show_versions

    found = [v for name in registry.names(client) for v in registry.versions(client, name)]
    if as_json:
        _print_json([asdict(version) for version in found])
    else:
        show_versions(Console(), found)


@app.command()
def promote(
    name: Model,
    version: Annotated[str, typer.Argument(help="A version's number, or an alias.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "by hand",
    as_json: Json = False,
) -> None:
    """Make a version the champion, by a person's decision."""
    client = _client()

    from convoy import promotion

    _moved(asdict(promotion.promote(client, name, version, reason)), name, as_json)


@app.command()
def rollback(name: Model, as_json: Json = False) -> None:
    """Bring back the champion that the present one replaced."""
    client = _client()

    from convoy import promotion

    _moved(asdict(promotion.rollback(client, name)), name, as_json)


@app.command()
def history(name: Model, as_json: Json = False) -> None:
    """Tell what served, since when, and why."""
    client = _client()

    from rich.console import Console

    from convoy import promotion
    from convoy.tables import show_history

    promotion.settle(client, name)
    entries = promotion.journal(client, name)
    if as_json:
        _print_json([asdict(entry) for entry in entries])
    else:
        show_history(Console(), name, entries)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="NAME@ALIAS or NAME/VERSION.")],
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    as_json: Json = False,
) -> None:
    """Say what a registered model sees in image files."""
    name, at, wanted = model.replace("/", "@").partition("@")
    if not at or not wanted:
        raise UsageError(f"{model!r} is not NAME@ALIAS or NAME/VERSION, as in digits@champion.")
    project, client = _project(), _client()

    from rich.console import Console

    from convoy import registry
    from convoy.tables import show_predictions

    chosen = registry.version(client, name, wanted)
    scratch = project.state / "models" / f"{name}-{chosen.version}"
    folder = registry.download(chosen, scratch, os.environ["MLFLOW_TRACKING_URI"])

    from convoy.inference.predict import image_files
    from convoy.inference.predict import predict as predict_files

    found = predict_files(folder, image_files(paths))
    if as_json:
        _print_json([asdict(prediction) for prediction in found])
    else:
        show_predictions(Console(), found)
    if refused := [prediction for prediction in found if prediction.refused]:
        raise DataRefused(f"{len(refused)} of {len(found)} files were refused, as listed.")


@app.command()
def architectures(as_json: Json = False) -> None:
    """List the networks that can be trained, with their papers."""
    from rich.console import Console

    from convoy.architectures import describe, names
    from convoy.tables import show_architectures

    found = {name: describe(name) for name in names()}
    if as_json:
        keys = ("paper", "year", "smallest")
        _print_json({n: {k: getattr(a, k) for k in keys} for n, a in found.items()})
    else:
        show_architectures(Console(), found)


@app.command()
def up() -> None:
    """Start the Prefect UI, the MLflow UI and the scheduled pipeline, until Ctrl-C."""
    plan = _plan_of(None)
    plan.project.create_state()

    from convoy.up import start

    start(plan)


def _project() -> "Project":
    """Return the project around, its environment filled in: before mlflow reads it on import."""
    from convoy import environment
    from convoy.project import Project

    project = Project.find()
    environment.apply(project)
    return project


def _plan_of(dataset: str | None) -> "Plan":
    from convoy.plan import make_plan

    return make_plan(_project(), dataset)


def _client() -> "MlflowClient":
    project = _project()
    project.create_state()

    from convoy import store

    return store.connect(project)


def _moved(entry: dict[str, Any], name: str, as_json: bool) -> None:
    if as_json:
        _print_json(entry)
        return
    before = f" instead of version {entry['previous']}" if entry["previous"] else ""
    typer.echo(f"{name} version {entry['version']} is the champion{before} ({entry['reason']}).")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))
