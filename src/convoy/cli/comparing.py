"""`convoy compare`: runs side by side, which is better, how sure that is, and what each costs."""

from contextlib import nullcontext
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from convoy.cli import plots
from convoy.cli.terminal import Json, plan_of, print_json


def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(help="MLflow run ids, or beginnings of them.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose last pipeline run.")] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score all again on the test split that is here.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against cost here, as .png or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: the last pipeline's and the champion, or those that are named."""
    plan = plan_of(dataset)
    if plot:
        plots.check(plot)

    from rich.console import Console

    from convoy import comparison
    from convoy.comparison_tables import show_comparison
    from convoy.display import progress
    from convoy.progress import Step

    first = Step("score again", "running")
    with progress(Console(stderr=True), first) if rescore else nullcontext():
        found = comparison.compare(plan, runs or [], dataset, rescore)
    if plot:
        from convoy.evaluation.pareto_figure import figure

        plots.write(plot, figure(found.priced, f"{found.dataset}: what accuracy costs"))
    if as_json:
        told = asdict(found)
        told["pairs"] = [
            {**asdict(pair), "differs": pair.differs, "words": pair.words} for pair in found.pairs
        ]
        print_json(_plain(told))
    else:
        show_comparison(Console(), found)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, which knows no infinity and no NaN."""
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float():
            return value if isfinite(value) else None
    return value
