"""A flow run that the runner started: it ends with the runner, waits its turn, and leaves a mark.

The mark lies in `.convoy/flows/` from its beginning to its end. One that lies there when its
process is gone is of a run that was interrupted (`flows.interrupted`).
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from convoy import turn
from convoy.files import write_json
from convoy.owners import this_owner
from convoy.programs.guarded import die_with_parent
from convoy.project import Project

AUTOMATIC = "auto-scheduled"
"""Prefect's tag of what a schedule planned; what a person or a change asked for is not skipped."""
SKIPPED = "Skipped"


def marks(project: Project) -> Path:
    """Return the folder with a file for each flow run at work, or interrupted."""
    return project.state / "flows"


@contextmanager
def served(
    project: Project, dataset: str, overlap: str = "queue", turns: bool = True
) -> Iterator[State[Any] | None]:
    """Work on a dataset when it is this run's turn; yields a state where it has to be skipped.

    A run that nobody's runner started, as `convoy run`'s, goes ahead: it is refused where another
    works. `turns`: whether this flow has to wait at all.
    """
    if not deployment.id:
        yield None
        return
    die_with_parent(signal.SIGTERM)
    project.create_state()
    marks(project).mkdir(exist_ok=True)
    mark = marks(project) / f"{flow_run.id}.json"
    write_json(mark, this_owner())
    try:
        with ExitStack() as held:
            yield _enter(project, dataset, overlap, held) if turns else None
    except (TerminationSignal, KeyboardInterrupt):
        raise  # the mark stays: whoever ended it says whether it is to go on
    except BaseException:
        mark.unlink(missing_ok=True)
        raise
    mark.unlink(missing_ok=True)


def _enter(project: Project, dataset: str, overlap: str, held: ExitStack) -> State[Any] | None:
    """Wait for the turn, or return why this run is left out."""
    automatic = AUTOMATIC in (flow_run.tags or [])
    works = turn.at_work(project.state)
    if works is not None and automatic and overlap == "skip" and works.get("dataset") == dataset:
        return _skipped(f"a run of {dataset!r} was at work when this one was due")
    with ExitStack() as waiting:
        if works is not None:
            name = f"{deployment.name}-{dataset}"
            first = waiting.enter_context(turn.only_one_waits(project.state, name))
            if automatic and not first:
                return _skipped(
                    "an earlier run of this deployment waits already, and does its work"
                )
            get_run_logger().info("waits until the run that is at work here has ended")
        held.enter_context(turn.take(project.state, dataset, str(flow_run.id), waits=True))
    return None


def _skipped(reason: str) -> State[Any]:
    return Completed(name=SKIPPED, message=f"Skipped: {reason}.")
