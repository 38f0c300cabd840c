"""`convoy sweep`: the search for a better recipe."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from convoy.cli.terminal import Json, print_json, project
from convoy.errors import ConvoyError

if TYPE_CHECKING:
    from convoy.plan import Plan
    from convoy.sweep_outcome import SweepOutcome


def sweep(
    architecture: Annotated[str, typer.Argument(help="A network with a section in `sweeps`.")],
    dataset: Annotated[str | None, typer.Option(help="An entry of params.yaml.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many, instead of params.yaml's.")] = None,
    parallel: Annotated[
        int | None, typer.Option(help="How many at once, instead of params.yaml's.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for this sweep alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for a better recipe: many trainings, bad ones given up; goes on where it was."""
    from convoy import architectures, engine, sweep_outcome, versions
    from convoy.addresses import compare_address, mlflow_interface
    from convoy.plan import make_plan

    here = project()
    architectures.module_of(architecture)
    given = {"trials": trials, "parallel": parallel}
    said = [f"sweeps.{architecture}.{k}={v}" for k, v in given.items() if v is not None]
    plan = make_plan(here, dataset, [architecture], [*(settings or []), *said])
    space, recipe = plan.settings.sweep(architecture), plan.settings.recipe(architecture)
    kept = sweep_outcome.unchanged(plan)
    if kept is None:
        # refused here, before anything is started
        engine.chosen()
        for tried in (recipe, *space.extremes(recipe)):
            plan.check_recipe(architecture, tried)
        versions.check(here, plan.dataset)
    result = kept or _run(plan)
    runs = [row.run_id for row in result.rows if row.run_id]
    address = compare_address(mlflow_interface(), result.experiment_id, dict.fromkeys(runs))
    if as_json:
        print_json({**result.model_dump(), "unchanged": kept is not None, "compare": address})
    else:
        from rich.console import Console

        from convoy.sweep_tables import show_sweep

        show_sweep(Console(), result, address, unchanged=kept is not None)
    if result.best is None:
        raise ConvoyError(
            f"no trial of {architecture!r} came to its end, for the reasons above: change "
            f"sweeps.{architecture} in params.yaml."
        )


def _run(plan: "Plan") -> "SweepOutcome":
    from rich.console import Console

    from convoy.cli.stopping import stoppable
    from convoy.display import progress

    # As for `convoy run`: the display shows what happens, Prefect's pages keep all.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with stoppable(), progress(Console(stderr=True)):
        from convoy.prefect_server import own_server

        plan.project.create_state()
        server = own_server(plan.project)
        from convoy.sweep_outcome import SweepOutcome
        from flows import crashed
        from flows.sweep import sweep as flow

        if server:
            server.wait()
        with crashed.owned():
            found = flow(plan.architectures[0], plan.dataset, list(plan.overrides))
    return SweepOutcome.model_validate(found)
