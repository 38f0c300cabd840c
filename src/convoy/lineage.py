"""The chain behind what serves: data version, commit, settings, flow run, run, version, promotions.

From any one of them the others are found by the stamps that runs and versions carry.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convoy import digests, registry, tracking
from convoy.errors import ConvoyError, DataRefused, UsageError
from convoy.journal import Entry, journal
from convoy.project import Project
from convoy.registry import Registered
from convoy.shards import Stored, read_table
from convoy.versions import stored
from convoy.versions.difference import difference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHORTEST = 6
"""Characters of a hash that name it."""


@dataclass(frozen=True)
class Step:
    """What changed in the data since what served before."""

    model_version: str
    dataset_version: str
    added: int = 0
    removed: int = 0
    relabelled: int = 0
    unknown: str = ""
    """Why it cannot be told; empty where it can."""


@dataclass(frozen=True)
class Chain:
    """One run with what made it and what came of it."""

    run_id: str
    run_name: str
    status: str
    dataset: str
    dataset_version: str
    dataset_digest: str
    commit: str
    dirty: bool
    flow_run: str
    settings: dict[str, str]
    """Architecture, seed and recipe."""
    model: str | None = None
    version: str | None = None
    """None where nothing was registered of the run."""
    aliases: tuple[str, ...] = ()
    since_champion: Step | None = None
    """None where no other version served before."""
    promotions: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Sighting:
    """An image in a dataset version."""

    dataset_version: str
    path: str
    label: str
    split: str


@dataclass(frozen=True)
class Lineage:
    """All chains that a target is part of."""

    target: str
    chains: list[Chain]
    sightings: list[Sighting] = field(default_factory=list)
    """Of an image file: where it is in those chains' data."""


def trace(client: "MlflowClient", project: Project, target: str) -> Lineage:
    """Return the lineage of a version, a run, a dataset version or an image file.

    Raises `UsageError` for what is none of these.
    """
    known = [v for name in registry.names(client) for v in registry.versions(client, name)]
    if Path(target).is_file():
        return _of_image(client, project, Path(target), known)
    name, at, wanted = target.replace("/", "@").partition("@")
    if at and name and wanted:
        chosen = registry.version(client, name, wanted)
        return Lineage(target, [_of_version(client, project, chosen)])
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}(\.dir)?", target):
        raise UsageError(
            f"{target!r} is no NAME@ALIAS, NAME/VERSION, run, dataset version or image file: "
            f"`convoy models` and `convoy data versions` list what there is."
        )
    runs = [run for run in _runs(client) if _is_meant(run, target)]
    if not runs:
        raise UsageError(
            f"no run and no dataset version that was trained on begins with {target!r}: see "
            f"`convoy models` and `convoy data versions`."
        )
    return Lineage(target, [_of_run(client, project, run, known) for run in runs])


def _runs(client: "MlflowClient") -> Iterable["Run"]:
    """Yield the runs of trainings, the oldest first."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    asked, token = f"tags.`{tracking.ARCHITECTURE}` != ''", None
    while True:
        page = client.search_runs(
            experiments, asked, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        if not (token := page.token):
            return


def _is_meant(run: "Run", target: str) -> bool:
    tags = run.data.tags
    names = (run.info.run_id, tags.get(tracking.VERSION, ""), tags.get(tracking.DIGEST, ""))
    return any(name.startswith(target) for name in names)


def _of_run(client: "MlflowClient", project: Project, run: "Run", known: list[Registered]) -> Chain:
    for version in known:
        if version.run_id == run.info.run_id:
            return _of_version(client, project, version)
    return _chain(run)


def recorded(client: "MlflowClient", version: Registered) -> Chain:
    """Return the chain of a version from MLflow alone.

    That its data differ from those before is told, but not how. Raises `UsageError` where its run
    is gone.
    """
    return _of_version(client, None, version)


def _of_version(client: "MlflowClient", project: Project | None, version: Registered) -> Chain:
    try:
        (run,) = tracking.get_runs(client, [version.run_id])
    except ConvoyError as error:
        raise UsageError(
            f"{version.name} version {version.version} cannot be traced: {error}"
        ) from None
    entries = journal(client, version.name)
    about = [e for e in entries if version.version in (e.version, e.previous)]
    since = _since_champion(client, project, version, entries)
    named = version.name, version.version, version.aliases
    return _chain(run, *named, since_champion=since, promotions=about)


def _chain(
    run: "Run",
    model: str | None = None,
    version: str | None = None,
    aliases: tuple[str, ...] = (),
    **more: Any,
) -> Chain:
    tags = run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return Chain(
        run.info.run_id,
        tracking.run_name(run),
        run.info.status,
        inputs[0].dataset.name if inputs else "",
        tags.get(tracking.VERSION, ""),
        tags.get(tracking.DIGEST, ""),
        tags.get(tracking.COMMIT, ""),
        tags.get(tracking.DIRTY) == "true",
        tags.get(tracking.FLOW_RUN, ""),
        dict(run.data.params),
        model,
        version,
        aliases,
        **more,
    )


def _since_champion(
    client: "MlflowClient", project: Project | None, version: Registered, entries: list[Entry]
) -> Step | None:
    """Return what changed in the data since the version that this one replaced, or would."""
    done = [entry for entry in entries if entry.state == "done"]
    own = [entry.previous for entry in done if entry.version == version.version]
    before = own[0] if own else done[-1].version if done else None
    if before is None:
        return None
    try:
        champion = registry.version(client, version.name, before)
    except UsageError:
        return Step(before, "", unknown=f"version {before} was deleted")
    was, now = (v.tags.get(tracking.VERSION, "") for v in (champion, version))
    if was == now:
        return Step(before, was)
    if project is None:
        return Step(before, was, unknown="MLflow alone does not tell")
    dataset = version.tags.get("convoy.dataset", "")
    try:
        found = difference(stored(project, dataset, was), stored(project, dataset, now))
    except ConvoyError as error:
        return Step(before, was, unknown=str(error))
    relabelled = sum(sum(to.values()) for to in found.relabelled.values())
    return Step(before, was, sum(found.added.values()), sum(found.removed.values()), relabelled)


def _of_image(
    client: "MlflowClient", project: Project, file: Path, known: list[Registered]
) -> Lineage:
    """Return the chains whose data has an image, whatever split it is in there."""
    runs = list(_runs(client))
    by_data: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        chain = _chain(run)
        by_data.setdefault((chain.dataset, chain.dataset_version), []).append(run)
    chains, sightings = [], []
    for (dataset, version), trained in by_data.items():
        if (found := _find(project, dataset, version, file)) is None:
            continue
        split = str(found.split or "left out")
        sightings.append(Sighting(version, found.path, found.label, split))
        chains += [_of_run(client, project, run, known) for run in trained]
    if not chains:
        raise UsageError(
            f"{file} is in no dataset version that is here and that anything was trained on."
        )
    return Lineage(str(file), chains, sightings)


def _find(project: Project, dataset: str, version: str, file: Path) -> Stored | None:
    """Return what a dataset version has of an image: by the file's bytes, else by its image."""
    try:
        data = stored(project, dataset, version)
        channels, side = data.manifest["channels"], data.manifest["image_size"]
    except ConvoyError:
        return None  # it is not here
    from convoy import content
    from convoy.decoding import read

    name = bytes.fromhex(digests.file(file))
    try:
        image = content.of_file(read(file, channels, side=side), file.read_bytes())
    except DataRefused:
        image = b""
    for path, place in sorted(data.files.items()):
        if path.startswith("shards/") and path.endswith(".csv") and Path(place).is_file():
            for one in read_table(Path(place)):
                if one.file == name or one.content == image:
                    return one
    return None
