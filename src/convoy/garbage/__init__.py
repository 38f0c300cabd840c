"""What nothing leads to any more: found, told with its size and the reason, and removed.

Kept is whatever an alias, a Git tag, the tip of a branch, the checkout, one of the last champions,
a run that is at work or the present settings lead to (`reached.py`), and all that is younger than
`gc.days`. Records stay: a version whose files are collected keeps its tags, its verdict and its
place in the journal, a finished run its metrics and files, and DVC's remote is never touched.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from convoy import architectures, store, tracking, turn
from convoy.errors import ConvoyError
from convoy.garbage import objects, stored, trainings
from convoy.garbage.item import Item
from convoy.garbage.reached import reached
from convoy.progress import Step, report
from convoy.project import Project
from convoy.settings import Settings, load
from convoy.versions import exclusive

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Item", "collect", "survey"]


def survey(project: Project) -> list[Item]:
    """Return what nothing leads to; remove nothing.

    Raises `ConvoyError` where another run is at work here, or where it cannot be known.
    """
    return collect(project, dry_run=True)


def collect(
    project: Project, chosen: Collection[Item] | None = None, dry_run: bool = False
) -> list[Item]:
    """Remove what nothing leads to, of it only what is `chosen` where that is given; return it.

    It is looked for anew: what was chosen and is reached by now stays. A kill between two removals
    leaves what the next call finds. Raises as `survey` does.
    """
    project.create_state()
    with turn.take(project.state), exclusive(project):
        client = store.connect(project)
        settings = load(project.params, architectures.names())
        found = _found(client, project, settings)
        if chosen is not None:
            wanted = {(item.kind, item.name) for item in chosen}
            found = [item for item in found if (item.kind, item.name) in wanted]
        return found if dry_run else _removed(client, project, found)


def _found(client: "MlflowClient", project: Project, settings: Settings) -> list[Item]:
    for dataset in settings.datasets:
        if experiment := client.get_experiment_by_name(dataset):
            tracking.settle(client, experiment.experiment_id)
    keep = reached(client, project, settings)
    return [
        *objects.garbage(project, settings, keep),
        *trainings.garbage(project, settings, keep),
        *stored.garbage(client, project, settings, keep),
    ]


def _removed(client: "MlflowClient", project: Project, found: list[Item]) -> list[Item]:
    removed: list[Item] = []
    for item in found:
        report(Step("gc", "running", f"{item.kind} {item.name}"))
        try:
            match item.kind:
                case "data":
                    gone = objects.remove(item)
                case "training" | "copy":
                    gone = trainings.remove(project, item)
                case _:
                    gone = stored.remove(client, item)
        except OSError as error:
            raise ConvoyError(
                f"{error.filename or item.name} cannot be removed ({error.strerror}): give this "
                f"user the right to, and run `convoy gc` again; {len(removed)} of {len(found)} "
                f"are gone."
            ) from error
        if gone:
            removed.append(item)
    report(Step("gc", "done", f"{len(removed)} removed"))
    return removed
