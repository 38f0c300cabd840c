"""`convoy data`: datasets added, checked, listed, compared, restored, pushed and pulled."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoy.cli.terminal import Json, print_json, project

if TYPE_CHECKING:
    from convoy.project import Project
    from convoy.versions import Version

app = typer.Typer(help="Datasets: add, check, compare and restore them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A dataset of params.yaml.")]
Wanted = Annotated[str, typer.Argument(help="A version's hash or digest, a tag, or a commit.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The dataset's name, new or known.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, archive, table, IDX files, here or at s3:// or https://; "
            "or a known set: digits, mnist, fashion_mnist, cifar10."
        ),
    ],
    origin: Annotated[
        str | None, typer.Option("--from", help="Where a known set's files lie already.")
    ] = None,
    channels: Annotated[str | None, typer.Option(help="gray, rgb, hsv or cmyk.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    val: Annotated[
        float | None, typer.Option(help="Share of images to choose by (proposed: 0.15).")
    ] = None,
    test: Annotated[
        float | None, typer.Option(help="Share of images to judge by (proposed: 0.2).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The registered model's name.")] = None,
    nested: Annotated[
        str | None, typer.Option(help="Folders below a class: flatten, or join.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a dataset into params.yaml and bring it in; add to one that is there."""
    here = _here()

    from convoy import addition
    from convoy import versions as dataset_versions

    given = {"channels": channels, "image_size": image_size, "val": val, "test": test}
    given |= {"model": model, "nested": nested}
    said = {key: value for key, value in given.items() if value is not None}
    wanted = addition.Wanted(source, origin, said)
    with _progress(), dataset_versions.exclusive(here):  # two of them would write one params.yaml
        entry = addition.add(here, name, wanted)
    if not as_json:
        typer.echo(f"params.yaml: {entry}")
    _ingested(here, name, as_json)


@app.command()
def check(name: Name, as_json: Json = False) -> None:
    """Bring a dataset up to date and say what is wrong with it; writes a page, too."""
    here = _here()
    _dataset(here, name)
    _ingested(here, name, as_json)


@app.command()
def versions(name: Name, as_json: Json = False) -> None:
    """List the versions that a dataset has had."""
    here = _here()
    _dataset(here, name)

    from rich.console import Console

    from convoy.dataset_tables import show_dataset_versions
    from convoy.versions import journal, recorded_hash, settle

    settle(here)
    found, present = journal.versions(here, name), recorded_hash(here, name)
    if as_json:
        rows = [asdict(entry) | {"present": entry.hash == present} for entry in found]
        print_json([{k: v for k, v in row.items() if k != "stages"} for row in rows])
    else:
        show_dataset_versions(Console(), name, found, present)


@app.command()
def diff(name: Name, one: Wanted, other: Wanted, as_json: Json = False) -> None:
    """Say what was added, removed and relabelled between two versions, by class."""
    here = _here()
    _dataset(here, name)

    from rich.console import Console

    from convoy.dataset_tables import show_difference
    from convoy.versions import journal, settle, stored
    from convoy.versions.difference import difference

    settle(here)
    before, after = (
        stored(here, name, journal.find(here, name, wanted).hash) for wanted in (one, other)
    )
    found = difference(before, after)
    if as_json:
        print_json({"from": before.hash, "to": after.hash, **asdict(found)})
    else:
        show_difference(Console(), before.hash, after.hash, found)


@app.command()
def restore(name: Name, version: Wanted, as_json: Json = False) -> None:
    """Go back to a version, and stay there; `latest` follows the source again."""
    here = _here()
    _dataset(here, name)

    from convoy.versions import restore as going_back

    if version == "latest":
        going_back.release(here, name)
        _ingested(here, name, as_json)
        return
    found = going_back.restore(here, name, version)
    _say(
        found,
        as_json,
        f"{name} is at version {found.hash[:12]} and stays there (`version` in params.yaml); "
        f"`convoy data restore {name} latest` follows its source again.",
    )


@app.command()
def push(name: Name, as_json: Json = False) -> None:
    """Bring the present version and its raw files to DVC's remote."""
    here = _here()
    _dataset(here, name)

    from convoy import versions as dataset_versions

    found = dataset_versions.push(here, name)
    _say(found, as_json, f"{name} version {found.hash[:12]} is in the remote.")


@app.command()
def pull(name: Name, as_json: Json = False) -> None:
    """Bring the version that dvc.lock records, and its raw files, from DVC's remote."""
    here = _here()
    _dataset(here, name)

    from convoy import versions as dataset_versions

    found = dataset_versions.pull(here, name)
    _say(found, as_json, f"{name} version {found.hash[:12]} is here.")


def _here() -> "Project":
    found = project()
    found.create_state()
    return found


def _dataset(here: "Project", name: str) -> None:
    """Refuse a name that params.yaml does not know."""
    from convoy import architectures
    from convoy.settings import load

    load(here.params, architectures.names()).dataset(name)


@contextmanager
def _progress() -> Iterator[None]:
    """Show on a terminal that something is at work, and how far downloads have come."""
    from rich.console import Console

    from convoy.display import progress
    from convoy.progress import Step, report

    with progress(Console(stderr=True), Step("ingest", "running")):
        try:
            yield
        except BaseException:
            report(Step("ingest", "failed"), logging.DEBUG)
            raise
        report(Step("ingest", "done"), logging.DEBUG)


def _ingested(here: "Project", name: str, as_json: bool) -> None:
    """Ingest, and show the report, whether the dataset was accepted or refused."""
    from convoy import versions as dataset_versions
    from convoy.errors import DataRefused
    from convoy.files import read_json
    from convoy.ingestion.render import write_page

    reports = here.reports(name)
    before = reports / "report.json"
    before.unlink(missing_ok=True)
    found, refusal = None, None
    try:
        with _progress():
            found = dataset_versions.ingest(here, name)
        write_page(found.files, reports)
    except DataRefused as error:
        refusal = error
    report: dict[str, Any] = read_json(before) or {}
    if refusal and not report:
        raise refusal  # refused before there was anything to report on
    page = str((reports / "page.html").relative_to(here.root))
    if as_json:
        flags = list(found.flags) if found else []
        version = found.hash if found else None
        digest = report["version"]
        told = {**report, "version": version, "digest": digest, "flags": flags, "page": page}
        print_json(told)
    else:
        from rich.console import Console

        from convoy.dataset_tables import show_dataset

        show_dataset(Console(), report, found, page)
    if refusal:
        raise refusal


def _say(found: "Version", as_json: bool, sentence: str) -> None:
    if as_json:
        print_json({"dataset": found.dataset, "version": found.hash, "flags": list(found.flags)})
    else:
        typer.echo(sentence)
        for flag in found.flags:
            typer.echo(f"Note: {flag}.")
