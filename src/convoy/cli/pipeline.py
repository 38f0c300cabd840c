"""`convoy run | train | up`: the pipeline, by hand and on its schedule."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoy.cli.terminal import Json, plan_of, print_json, project
from convoy.errors import GateRefused

if TYPE_CHECKING:
    from convoy.plan import Plan

Dataset = Annotated[str | None, typer.Option(help="An entry of params.yaml.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for this run alone.")]
Architectures = Annotated[str | None, typer.Option(help="Names with commas between, or all.")]
Strict = Annotated[
    bool, typer.Option(help="Refuse a dataset version that is not committed and pushed.")
]
Deterministic = Annotated[
    bool, typer.Option(help="Train with operations that give the same bits each time.")
]


def run(
    dataset: Dataset = None,
    architectures: Architectures = None,
    settings: Settings = None,
    strict: Strict = False,
    deterministic: Deterministic = False,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline: ingest, train, evaluate, register, gate, promote."""
    from convoy import outcome
    from convoy.addresses import compare_address, mlflow_interface
    from convoy.plan import make_plan

    here = project()
    chosen = split_names(architectures)
    plan = make_plan(here, dataset, chosen, _changed(settings, deterministic), strict)
    kept = outcome.unchanged(plan)
    result = kept or outcome.Outcome.model_validate(_run(plan, "pipeline"))
    runs = [row.run_id for row in result.rows]
    address = compare_address(mlflow_interface(), result.experiment_id, runs)
    if as_json:
        print_json({**result.model_dump(), "unchanged": kept is not None, "compare": address})
    else:
        from rich.console import Console

        from convoy.tables import show_outcome

        show_outcome(Console(), result, address, unchanged=kept is not None)
    if not result.allowed:
        still = f"champion is version {result.champion}" if result.champion else "no champion yet"
        raise GateRefused(f"the gate refused {result.model} version {result.version}; {still}.")


def train(
    architecture: Annotated[str, typer.Argument(help="A name of `convoy architectures`.")],
    dataset: Dataset = None,
    settings: Settings = None,
    deterministic: Deterministic = False,
    as_json: Json = False,
) -> None:
    """Train and evaluate one architecture as `run` does; register and promote nothing."""
    from convoy.outcome import Trained
    from convoy.plan import make_plan

    plan = make_plan(project(), dataset, [architecture], _changed(settings, deterministic))
    result = Trained.model_validate(_run(plan, "training"))
    if as_json:
        print_json(result.model_dump())
    else:
        from rich.console import Console

        from convoy.tables import show_trained

        show_trained(Console(), result)


def split_names(told: str | None) -> list[str]:
    """Return the names between the commas."""
    return [name.strip() for name in told.split(",")] if told else []


def _changed(settings: list[str] | None, deterministic: bool) -> list[str]:
    return [*(settings or []), *(["run.deterministic=true"] if deterministic else [])]


def _run(plan: "Plan", flow: str) -> Any:
    """Run one of the flows of `flows.pipeline`; return what it returns."""
    from rich.console import Console

    from convoy import engine, versions
    from convoy.cli.stopping import stoppable
    from convoy.display import progress

    # refused here, before anything is started
    engine.chosen()
    plan.check_recipes()
    versions.check(plan.project, plan.dataset)
    # The display shows what happens and `main` the error that ends a run; Prefect's pages keep all.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with stoppable(), progress(Console(stderr=True)):
        from convoy.prefect_server import own_server
        from convoy.programs.launcher import start_launcher, warm

        # Server, flows and programs take seconds of a core each. The server is the slowest, so it
        # comes first; the programs last, as they are needed after ingestion only.
        plan.project.create_state()
        server = own_server(plan.project)
        flows = import_module("flows.pipeline")
        with start_launcher(plan.project) as launcher:
            warm.set(launcher)
            if server:
                server.wait()
            named = plan.dataset, list(plan.architectures), list(plan.overrides), plan.strict
            with import_module("flows.crashed").owned():
                return getattr(flows, flow)(*named)


def up() -> None:
    """Start the Prefect UI, the MLflow UI and the scheduled pipeline, until Ctrl-C."""
    plan = plan_of(None)
    plan.project.create_state()

    from convoy.up import start

    start(plan)
