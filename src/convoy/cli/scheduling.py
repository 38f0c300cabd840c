"""`convoy schedule | trigger`: when the deployments run, and running one now."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoy.cli.terminal import Json, print_json, project
from convoy.errors import UsageError

if TYPE_CHECKING:
    from convoy.deployments import Deployment
    from convoy.prefect_api import PrefectApi

Name = Annotated[str, typer.Argument(help="A deployment, as pipeline/nightly.")]


def schedule(
    name: Annotated[str | None, typer.Argument(help="A deployment, as pipeline/nightly.")] = None,
    cron: Annotated[str | None, typer.Option(help="Five fields, as '0 2 * * *'.")] = None,
    timezone: Annotated[str | None, typer.Option(help="As Europe/Berlin.")] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Let it rest.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let it run again.")] = False,
    as_json: Json = False,
) -> None:
    """List when the deployments run, or change it; kept in prefect.yaml, and applied at once."""
    if pause and resume:
        raise UsageError("--pause and --resume are opposites: give one of them.")
    given = {"cron": cron, "timezone": timezone, "active": False if pause else resume or None}
    values = {key: value for key, value in given.items() if value is not None}
    if values and name is None:
        raise UsageError("which deployment? Name it, as in `convoy schedule pipeline/nightly`.")
    here = project()

    from convoy.deployments import change, read_deployments

    listed = read_deployments(here)
    chosen = [listed.named(name)] if name else list(listed.deployments)
    server = _server()
    if values:
        assert name
        chosen = [change(here, name, values)]
        if server:
            _apply(server, chosen[0])
    rows = [_row(one, server) for one in chosen]
    if as_json:
        print_json(rows)
        return

    from rich.console import Console

    from convoy.schedule_tables import show_schedules

    show_schedules(Console(), rows)
    if values and not server:
        typer.echo("No Prefect server runs here: `convoy up` applies it when it starts.")


def trigger(
    name: Name,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="PARAMETER=VALUE of this run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a deployment now, on the Prefect server of `convoy up` or of PREFECT_API_URL."""
    here = project()

    from convoy.deployments import read_deployments
    from convoy.prefect_api import NotFound, PrefectApi
    from convoy.server_versions import check_prefect

    chosen = read_deployments(here).named(name)
    values = dict(map(_parameter, parameters or []))
    server = PrefectApi()
    check_prefect(server.address)
    try:
        found = server.deployment(chosen.full_name)
    except NotFound:
        raise UsageError(
            f"the Prefect server {server.pages} has no deployment {chosen.full_name!r}: `convoy "
            f"up` serves it here; `prefect deploy --all --pool POOL` gives it to a team's."
        ) from None
    run = server.create_run(found["id"], values, None, ["by hand"])
    served = found.get("status") == "READY"
    page = server.run_page(run["id"])
    if as_json:
        print_json({"flow_run": run["id"], "name": run["name"], "page": page, "served": served})
        return
    typer.echo(f"{chosen.full_name} runs as {run['name']!r}: {page}")
    if not served:
        typer.echo(
            "Nothing has asked for its runs of late: it waits until `convoy up`, or a worker."
        )


def _server() -> "PrefectApi | None":
    from convoy.prefect_api import PrefectApi
    from convoy.server_versions import check_prefect

    if "PREFECT_API_URL" not in os.environ:
        return None
    server = PrefectApi()
    check_prefect(server.address)
    return server


def _apply(server: "PrefectApi", changed: "Deployment") -> None:
    """Have the running server follow; it plans the next runs anew by itself."""
    from convoy.prefect_api import NotFound

    schedules = [
        {"schedule": {"cron": one.cron, "timezone": one.timezone}, "active": one.active}
        for one in changed.schedules
    ]
    try:
        found = server.deployment(changed.full_name)
    except NotFound:
        return  # it is created with this schedule
    server.ask("PATCH", f"/deployments/{found['id']}", {"schedules": schedules})


def _row(one: "Deployment", server: "PrefectApi | None") -> dict[str, Any]:
    """Return what there is to say of a deployment; the server knows its next run."""
    row: dict[str, Any] = {
        "deployment": one.full_name,
        "description": one.description,
        "parameters": one.parameters,
        "schedules": [found.model_dump() for found in one.schedules],
        "next": None,
        "last": None,
    }
    if server:
        row |= _runs(server, one.full_name)
    return row


def _runs(server: "PrefectApi", full_name: str) -> dict[str, Any]:
    from convoy.prefect_api import NotFound

    try:
        found = server.deployment(full_name)
    except NotFound:
        return {}
    of = {"deployments": {"id": {"any_": [found["id"]]}}, "limit": 1}
    due = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    begun = {"flow_runs": {"start_time": {"is_null_": False}}}
    told: dict[str, Any] = {}
    planned = server.ask(
        "POST", "/flow_runs/filter", of | due | {"sort": "EXPECTED_START_TIME_ASC"}
    )
    if planned:
        told["next"] = planned[0]["expected_start_time"]
    last = server.ask("POST", "/flow_runs/filter", of | begun | {"sort": "START_TIME_DESC"})
    if last:
        told["last"] = {
            "at": last[0]["start_time"],
            "state": last[0]["state_name"],
            "page": server.run_page(last[0]["id"]),
        }
    return told


def _parameter(told: str) -> tuple[str, Any]:
    from convoy.settings import value_of

    key, equals, text = told.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {told!r} is not PARAMETER=VALUE, as in --set dataset=digits.")
    return key.strip(), value_of(key, text)
