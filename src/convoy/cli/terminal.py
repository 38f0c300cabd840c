"""What the commands share: the project around, its plan, its registry, and JSON for programs."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from convoy.plan import Plan
    from convoy.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Model = Annotated[str, typer.Argument(help="A registered model's name.")]


def project() -> "Project":
    """Return the project around, its environment filled in: before mlflow reads it on import."""
    from convoy import environment
    from convoy.project import Project

    found = Project.find()
    environment.apply(found)
    return found


def plan_of(dataset: str | None) -> "Plan":
    from convoy.plan import make_plan

    return make_plan(project(), dataset)


def client() -> "MlflowClient":
    found = project()
    found.create_state()

    from convoy import store

    return store.connect(found)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))
