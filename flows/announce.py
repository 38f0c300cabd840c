"""Telling others of a promotion: an event in Prefect, and the webhook where one is set.

The pipeline does it in a task; the command line starts this as a program, and does not wait.
"""

import json
import os
import sys
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from convoy import promotion, webhook
from convoy.errors import ConvoyError
from convoy.pipeline.release import Registration
from convoy.pipeline.session import Session

EVENT = "convoy.promotion"


@task(cache_policy=NO_CACHE)
def announce(work: Session, registered: Registration) -> None:
    """Tell of the promotion that this run has made, if it has; nothing fails by it."""
    name = work.plan.data.model
    entries = promotion.journal(work.client, name)
    last = entries[-1] if entries else None
    if last is None or last.state != "done" or last.version != registered.version:
        return
    if registered.champion == registered.version:  # it served before this run
        return
    try:
        tell(name, vars(last))
    except ConvoyError as error:
        get_run_logger().warning(str(error))


def tell(name: str, entry: dict[str, Any]) -> None:
    """Emit the event, then send the webhook. Raises `ConvoyError` where that is not taken."""
    if "PREFECT_API_URL" in os.environ:  # Prefect would start a server of its own otherwise
        emit_event(
            event=EVENT,
            resource={
                "prefect.resource.id": f"convoy.model.{name}",
                "prefect.resource.name": name,
                "convoy.version": str(entry["version"]),
            },
            payload={"model": name, **entry},
        )
    webhook.send(name, entry)


def main() -> None:
    """Tell of the promotion that standard input holds, and end when it has been sent."""
    told = json.load(sys.stdin)
    try:
        tell(told["model"], told["entry"])
    except ConvoyError as error:
        sys.stderr.write(f"convoy: {error}\n")
        sys.exit(error.exit_code)
    finally:
        EventsWorker.instance().drain()


if __name__ == "__main__":
    main()
