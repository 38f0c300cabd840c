"""What no alias, tag, branch or recent champion leads to, removed: `convoy gc` on a schedule."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from convoy import architectures, garbage, stories
from convoy.garbage import Item
from convoy.project import Project
from convoy.settings import load
from flows import story
from flows.notify import notify
from flows.served import served
from flows.stopping import STOPS, cancelled


@task(cache_policy=NO_CACHE)
def collect(project: Project, dry_run: bool) -> list[Item]:
    """Return what has gone; one that was cut off leaves what the next call finds."""
    return garbage.collect(project, dry_run=dry_run)


@flow(name="gc", description=__doc__, on_failure=[notify], on_crashed=[notify])
def gc(dry_run: bool = False) -> list[dict[str, Any]] | State[Any]:
    """Remove what nothing leads to any more, or only list it.

    Args:
        dry_run: list what would go, with its size and why, and remove nothing.
    """
    project = Project.find()
    overlap = load(project.params, architectures.names()).schedule.overlap
    try:
        with served(project, "", overlap) as left_out:
            if left_out:
                return left_out
            found = [item.to_json() for item in collect(project, dry_run)]
            story.tell("gc", stories.collected(found, dry_run))
    except STOPS as stop:
        return cancelled(stop)
    return found
