"""`convoy find`: a learning rate and a batch size for a network on a dataset."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoy.cli import plots
from convoy.cli.terminal import Json, print_json, project
from convoy.errors import Stopped

if TYPE_CHECKING:
    from convoy.plan import Plan
    from convoy.training.suggestion import Suggestion


def find(
    architecture: Annotated[str, typer.Argument(help="A network, see `convoy architectures`.")],
    dataset: Annotated[str | None, typer.Option(help="An entry of params.yaml.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for this search alone.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the loss by the rate here, as .png or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find a learning rate and a batch size for a network; changes nothing."""
    from convoy import architectures, versions
    from convoy.plan import make_plan

    here = project()
    architectures.module_of(architecture)
    plan = make_plan(here, dataset, [architecture], settings or [])
    plan.check_recipes()
    if plot:
        plots.check(plot)
    versions.check(here, plan.dataset)
    version, found = _search(plan)
    if plot:
        _draw(plot, plan, found)

    from convoy import finder_tables

    recipe = plan.settings.recipe(architecture)
    if as_json:
        told = {"architecture": architecture, "dataset": plan.dataset, "version": version}
        lines = finder_tables.settings(architecture, found)
        note = finder_tables.scaling(recipe, found)
        print_json({**told, "set": lines, "note": note, **found.model_dump()})
    else:
        from rich.console import Console

        finder_tables.show_suggestion(Console(), architecture, recipe, found)


def _search(plan: "Plan") -> "tuple[str, Suggestion]":
    """Prepare the dataset and search; return its version and what was found."""
    from rich.console import Console

    from convoy import environment, published_weights, versions
    from convoy.display import progress
    from convoy.programs.launcher import Launcher
    from convoy.progress import Step, report
    from convoy.training.spec import Beginning
    from convoy.training.suggestion import Suggestion

    here, (name,) = plan.project, plan.architectures
    run, recipe = plan.settings.run, plan.settings.recipe(name)
    at_work = ["ingest"]

    def follow(event: dict[str, Any]) -> None:
        match event:
            case {"event": "phase", "phase": str(phase)}:
                report(Step(at_work.pop(), "done"))
                at_work.append(phase)
                report(Step(phase, "running"))
            case {"event": "size", "batch_size": size, "images_per_second": speed}:
                said = f"{size:,} images a batch, {speed:,.0f} a second"
                report(Step(at_work[-1], "running", said), logging.DEBUG)
            case {"event": "step", "step": step, "steps": steps, "seconds_left": left}:
                said = f"step {step} of {steps} at most, {left} s left"
                report(Step(at_work[-1], "running", said), logging.DEBUG)

    here.create_state()
    log = here.state / "programs.log"
    with (
        progress(Console(stderr=True), Step("ingest", "running")),
        # It imports what it needs while the dataset is looked at.
        Launcher("convoy.training.finder", log=log, scratch=here.scratch) as launcher,
    ):
        try:
            version = versions.ingest(here, plan.dataset)
            spec = Beginning(
                architecture=name,
                recipe=recipe,
                seed=run.seed,
                dataset=plan.dataset,
                version=version.digest,
                files=version.files,
                weights=published_weights.of(recipe, here),
                reader=environment.reader(),
                deterministic=run.deterministic,
            )
            told = launcher.run("convoy.training.finder", spec.model_dump(), log, follow)
        except BaseException as error:
            report(Step(at_work[-1], "failed"), logging.DEBUG)
            if isinstance(error, KeyboardInterrupt):
                raise Stopped("stopped; nothing was changed.") from None
            raise
        report(Step(at_work[-1], "done"))
    return version.hash, Suggestion.model_validate(told)


def _draw(plot: Path, plan: "Plan", found: "Suggestion") -> None:
    from convoy.evaluation.rates_figure import rates_figure

    points = found.rates.points
    named = {"falls fastest": found.rates.steepest, "a tenth of the lowest": found.rates.tenth}
    named["lowest"] = found.rates.lowest
    figure = rates_figure(
        [point.rate for point in points],
        [point.loss for point in points],
        [point.smoothed for point in points],
        {name: rate for name, rate in named.items() if rate},
        f"{plan.architectures[0]} on {plan.dataset}",
    )
    plots.write(plot, figure)
