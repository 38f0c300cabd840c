"""`convoy models | promote | rollback | history | verify | predict`: what is registered."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from convoy.cli import announcing
from convoy.cli.terminal import Json, Model, client, print_json, project
from convoy.errors import DataRefused, GateRefused, UsageError

Which = Annotated[str, typer.Argument(metavar="MODEL", help="NAME@ALIAS or NAME/VERSION.")]


def models(as_json: Json = False) -> None:
    """List the registered models with their versions."""
    connected = client()

    from rich.console import Console

    from convoy import registry
    from convoy.tables import show_versions

    found = [v for name in registry.names(connected) for v in registry.versions(connected, name)]
    if as_json:
        print_json([asdict(version) for version in found])
    else:
        show_versions(Console(), found)


def promote(
    name: Model,
    version: Annotated[str, typer.Argument(help="A version's number, or an alias.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Against the gate's verdict.")] = False,
    as_json: Json = False,
) -> None:
    """Make a version the champion, by a person's decision, as the gate allowed or with --force."""
    if force and not reason.strip():
        raise UsageError("--force needs --reason: why the gate was overruled is kept.")
    connected = client()
    announcing.check()

    from convoy import approval, gate, promotion, registry

    chosen = registry.version(connected, name, version)
    champion = registry.by_alias(connected, name, registry.CHAMPION)
    said = reason.strip() or "by hand"
    if champion is None or champion.version != chosen.version:
        try:
            gate.require_permission(chosen, champion)
        except GateRefused:
            if not force:
                raise
            said = f"forced against the gate's verdict: {said}"
        registry.verify(chosen, connected.tracking_uri)
    seen = champion.version if champion else None
    entry = promotion.promote(connected, name, version, said, seen)
    if approval.of(chosen):
        approval.decide(connected, chosen, True, said)
    _moved(asdict(entry), name, as_json)


def rollback(
    name: Model,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    as_json: Json = False,
) -> None:
    """Bring back the champion that the present one replaced."""
    connected = client()

    from convoy import promotion, registry

    def whole(chosen: registry.Registered) -> None:
        registry.verify(chosen, connected.tracking_uri)

    announcing.check()
    _moved(asdict(promotion.rollback(connected, name, reason.strip(), whole)), name, as_json)


def history(
    name: Model,
    at: Annotated[
        str, typer.Option(help="A day (2026-11-29, UTC) or an instant: what served then.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell what served, since when, and why."""
    connected = client()

    from rich.console import Console

    from convoy import promotion
    from convoy.journal import served_at
    from convoy.tables import show_history, show_services

    promotion.settle(connected, name)
    entries = promotion.journal(connected, name)
    if at:
        found = served_at(entries, at)
        if as_json:
            print_json([asdict(service) for service in found])
        else:
            show_services(Console(), name, at, found)
    elif as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        show_history(Console(), name, entries)


def predict(
    model: Which,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    as_json: Json = False,
) -> None:
    """Say what a registered model sees in image files."""
    name, wanted = _which(model)
    here, connected = project(), client()

    from rich.console import Console

    from convoy import registry
    from convoy.tables import show_predictions

    chosen = registry.version(connected, name, wanted)
    scratch = here.state / "models" / f"{name}-{chosen.version}"
    folder = registry.download(chosen, scratch, os.environ["MLFLOW_TRACKING_URI"])

    from convoy.inference.listing import image_files
    from convoy.inference.predict import predict as predict_files

    found = predict_files(folder, image_files(paths))
    if as_json:
        print_json([asdict(prediction) for prediction in found])
    else:
        show_predictions(Console(), found)
    if refused := [prediction for prediction in found if prediction.refused]:
        raise DataRefused(f"{len(refused)} of {len(found)} files were refused, as listed.")


def verify(model: Which, as_json: Json = False) -> None:
    """Hold a version's files to those that were registered, and its scores to the logged ones."""
    name, wanted = _which(model)
    here, connected = project(), client()

    from convoy import registry, verification

    found = verification.verify(connected, here, registry.version(connected, name, wanted))
    if as_json:
        print_json(asdict(found))
        return
    scores = ", ".join(f"{metric} {value:.4f}" for metric, value in found.metrics.items())
    typer.echo(
        f"{name} version {found.version} is what was registered: {found.files} files, and on "
        f"{found.images} test images of version {found.dataset_version[:12]} {scores}, as logged."
    )


def _which(model: str) -> tuple[str, str]:
    """Return a model's name, and the version or alias that is meant."""
    name, at, wanted = model.replace("/", "@").partition("@")
    if not at or not wanted:
        raise UsageError(f"{model!r} is not NAME@ALIAS or NAME/VERSION, as in digits@champion.")
    return name, wanted


def _moved(entry: dict[str, Any], name: str, as_json: bool) -> None:
    announcing.announce(project(), name, entry)
    if as_json:
        print_json(entry)
        return
    before = f" instead of version {entry['previous']}" if entry["previous"] else ""
    typer.echo(f"{name} version {entry['version']} is the champion{before} ({entry['reason']}).")
