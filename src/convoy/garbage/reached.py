"""What is kept: all that a name, a decision, or work that may go on leads to."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from convoy import approval, architectures, promotion, registry, tracking
from convoy.client import Client, pages
from convoy.errors import NotReproducible
from convoy.garbage import recorded
from convoy.journal import journal
from convoy.pipeline.trial import SWEEP
from convoy.plan import Plan
from convoy.project import Project
from convoy.registry import Registered
from convoy.settings import Settings, load
from convoy.sweep_outcome import study_key
from convoy.training.spec import training_key
from convoy.versions import journal as dataset_journal
from convoy.versions import recorded_hash, stored
from convoy.versions.program import hash_in


@dataclass(frozen=True)
class Reached:
    """What is kept."""

    versions: frozenset[tuple[str, str]]
    """Registered versions whose files are kept, by name and number."""
    runs: frozenset[str]
    folders: frozenset[str]
    """Names below .convoy/runs."""
    data: frozenset[str]
    """DVC hashes, of what came in and of what was prepared."""


def reached(client: MlflowClient, project: Project, settings: Settings) -> Reached:
    """Return what is kept. Raises `ConvoyError` where that cannot be known."""
    found = [_of_store(one, project, settings) for one in _stores(client, project)]
    data = recorded.hashes(project) | {digest for one in found for digest in one.data}
    data |= _came_in(project, settings, data)
    return Reached(
        frozenset(version for one in found for version in one.versions),
        frozenset(run for one in found for run in one.runs),
        frozenset(name for one in found for name in one.folders),
        frozenset(data),
    )


def _stores(client: MlflowClient, project: Project) -> list[MlflowClient]:
    """Return the stores that lead to what lies here: a server's, and the one from before it."""
    embedded = f"sqlite:///{project.database}"
    if client.tracking_uri != embedded and project.database.is_file():
        return [client, Client(embedded)]
    return [client]


def _of_store(client: MlflowClient, project: Project, settings: Settings) -> Reached:
    tagged = recorded.tagged(project)
    versions = [v for name in registry.names(client) for v in registry.versions(client, name)]
    kept = [version for version in versions if version.tags.get(tracking.COMMIT) in tagged]
    for name in {version.name for version in versions}:
        own = [version for version in versions if version.name == name]
        kept += _kept(client, name, own, settings.gc.champions)
    runs = all_runs(client, settings)
    listed = {run.info.run_id for run in runs}
    elsewhere = {version.run_id for version in kept if version.run_id} - listed
    for run_id in elsewhere:
        with suppress(MlflowException):  # that run is gone
            runs.append(client.get_run(run_id))
    keys = _present_keys(project, settings, runs)
    ids = {version.run_id for version in kept}
    for experiment in {run.info.experiment_id for run in runs}:
        if last := tracking.latest_pipeline(client, experiment):
            ids |= {last.info.run_id, *last.data.tags[tracking.TRAININGS].split(",")}
    for run in runs:
        tags = run.data.tags
        present = tags.get(tracking.KEY) in keys or tags.get(SWEEP) in keys
        if present or run.info.status == "RUNNING" or tags.get(tracking.COMMIT) in tagged:
            ids.add(run.info.run_id)
    at_work = [run for run in runs if run.info.status == "RUNNING"]
    data = {version.tags.get(tracking.VERSION, "") for version in kept}
    data |= {run.data.tags.get(tracking.VERSION, "") for run in at_work}
    own_keys = {run.data.tags.get(tracking.KEY, "") for run in runs if run.info.run_id in ids}
    return Reached(
        frozenset((version.name, version.version) for version in kept),
        frozenset(ids),
        frozenset(key[:32] for key in own_keys | keys),
        frozenset(data - {""}),
    )


def _kept(
    client: MlflowClient, name: str, versions: list[Registered], champions: int
) -> list[Registered]:
    """Return a model's versions with an alias, that a person is asked about, or that served last.

    Among them the one that a rollback goes back to.
    """
    entries = journal(client, name)
    served = [entry.version for entry in reversed(entries) if entry.state == "done"]
    last = list(dict.fromkeys(filter(None, served)))[:champions]
    present = next((v.version for v in versions if registry.CHAMPION in v.aliases), None)
    # What an intent that is not settled yet is about, on either side.
    intents = [e for e in entries if e.state == "intent"]
    wanted = {*last, promotion.replaced_by(entries, present)}
    wanted |= {number for entry in intents for number in (entry.version, entry.previous)}

    def waits(version: Registered) -> bool:
        said = approval.of(version)
        return said is not None and said.state == "waiting"

    return [v for v in versions if v.aliases or v.version in wanted or waits(v)]


def _present_keys(project: Project, settings: Settings, runs: Iterable[Run]) -> set[str]:
    """Return the keys of trainings and sweeps that a command of today would keep or go on with."""
    found: set[str] = set()
    names = {run.data.tags.get(tracking.ARCHITECTURE, "") for run in runs}
    names |= {*settings.run.architectures, *settings.sweeps}
    known = sorted(names & set(architectures.names()))
    for dataset in settings.datasets:
        own = load(project.params, architectures.names(), (), dataset)
        for digest in _digests(project, dataset, runs):
            run = own.run
            for name in known:
                decided = (name, own.recipe(name), run.seed, digest, run.deterministic)
                found.add(training_key(*decided))
            for name in own.sweeps:
                found.add(study_key(Plan(project, own, dataset, (name,)), digest)[:32])
    return found


def _digests(project: Project, dataset: str, runs: Iterable[Run]) -> set[str]:
    """Return the digests of the version that dvc.lock records, as far as anybody here knows one."""
    version = recorded_hash(project, dataset)
    if version is None:
        return set()
    same = (run.data.tags for run in runs if run.data.tags.get(tracking.VERSION) == version)
    found = {tags[tracking.DIGEST] for tags in same if tracking.DIGEST in tags}
    with suppress(NotReproducible):  # where it is not in the cache
        found.add(stored(project, dataset, version).digest)
    return found


def _came_in(project: Project, settings: Settings, kept: set[str]) -> set[str]:
    """Return the hashes of what kept versions were prepared from."""
    found: set[str | None] = set()
    for dataset in settings.datasets:
        for stages in dataset_journal.recorded_ever(project, dataset):
            if hash_in(stages, dataset) in kept:
                found.add(hash_in(stages, dataset, "fetch"))
    return {one for one in found if one}


def all_runs(client: MlflowClient, settings: Settings) -> list[Run]:
    """Return all runs of a store, those that were deleted too.

    Of a server, which others may use as well, those of the datasets of params.yaml.
    """
    every = pages(lambda token: client.search_experiments(ViewType.ALL, page_token=token))
    own = (one for one in every if is_embedded(client) or one.name in settings.datasets)
    experiments = [str(one.experiment_id) for one in own]
    if not experiments:
        return []
    kinds = ViewType.ALL
    asked = pages(lambda token: client.search_runs(experiments, "", kinds, page_token=token))
    return list(asked)


def is_embedded(client: MlflowClient) -> bool:
    """Tell whether a store is a file here, which nobody else's runs are in."""
    return str(client.tracking_uri).startswith("sqlite:")
