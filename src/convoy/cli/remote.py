"""`convoy worker | submit`: the pipeline on other machines."""

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from convoy.cli.pipeline import Architectures, Dataset, Settings, Strict, split_names
from convoy.cli.terminal import Json, print_json, project
from convoy.errors import ConvoyError, GateRefused, Stopped

Pool = Annotated[str, typer.Argument(help="A work pool of the Prefect server.")]


def worker(
    pool: Pool,
    kind: Annotated[str, typer.Option(help="process, docker or kubernetes.")] = "process",
    image: Annotated[str, typer.Option(help="Of docker and kubernetes: Convoy's image.")] = "",
    gpus: Annotated[int, typer.Option(help="Of docker and kubernetes: GPUs a run.")] = 0,
    limit: Annotated[int, typer.Option(help="Runs at the same time at most.")] = 1,
) -> None:
    """Work for a pool on this machine until Ctrl-C; the pool is made at first."""
    from convoy import server_versions
    from convoy.team import pools

    template = pools.template(kind, image, gpus)
    here = project()
    server_versions.require()
    here.create_state()
    options = ["--pool", pool, "--type", kind, "--limit", str(limit), "--install-policy", "never"]
    if template:
        options += ["--base-job-template", str(pools.write(here.state, pool, template))]
    os.environ["CONVOY_PROJECT"] = str(here.root)
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "convoy")
    os.execv(sys.executable, [sys.executable, "-m", "prefect", "worker", "start", *options])


def submit(
    pool: Pool,
    dataset: Dataset = None,
    architectures: Architectures = None,
    settings: Settings = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline on one of a pool's machines, as its checkout has it, and wait."""
    from convoy import server_versions
    from convoy.plan import make_plan

    here = project()
    chosen = split_names(architectures)
    make_plan(here, dataset, chosen, settings or [], strict)  # what is misspelt is said here
    server_versions.require()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    remote = import_module("flows.remote")
    parameters = {
        "dataset": dataset,
        "architectures": chosen or None,
        "overrides": settings or None,
        "strict": strict,
    }
    run = remote.submit(pool, parameters, lambda state: typer.echo(f"{pool}: {state}", err=True))
    state = run.state
    if as_json:
        print_json({"flow_run": str(run.id), "name": run.name, "state": state.name})
    else:
        typer.echo(f"{run.name}: {state.name.lower()}, on {pool} (flow run {run.id})")
    _judge(str(run.id), state.type.value, state.message or "")


def _judge(flow_run: str, state: str, message: str) -> None:
    """End as `convoy run` would have ended there."""
    if state == "CANCELLED":
        raise Stopped(f"the run was cancelled: {message}")
    if state != "COMPLETED":
        raise ConvoyError(f"the run ended as {state.lower()}: {message}")
    if not os.environ["MLFLOW_TRACKING_URI"].startswith("http"):
        return

    from convoy import lookup, store

    client = store.connect(project())
    found = lookup.of_flow_run(client, flow_run)
    if found is not None and found.data.tags.get("convoy.verdict") == "refused":
        raise GateRefused(f"the gate refused what the run {found.info.run_id} registered.")
