"""The runner of `convoy up`: serves the pipeline with its schedule, from the Procfile."""

import os
import time
import urllib.request

from prefect.schedules import Cron

from convoy import architectures
from convoy.errors import ConvoyError
from convoy.project import Project
from convoy.settings import load
from flows.pipeline import pipeline

STARTUP = 180.0
"""Seconds that a Prefect server may take to start and migrate its database."""


def wait_for_server() -> None:
    """Wait until the server that PREFECT_API_URL names answers."""
    address = os.environ["PREFECT_API_URL"]
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise ConvoyError(f"no Prefect server answers at {address} within {STARTUP:.0f} s.")


def main() -> None:
    """Serve until interrupted; a run that is due while another is at work waits for it."""
    wait_for_server()
    schedule = load(Project.find().params, architectures.names()).schedule
    nightly = Cron(schedule.cron, timezone=schedule.timezone)
    pipeline.serve(name="nightly", schedules=[nightly], limit=1, print_starting_message=False)


if __name__ == "__main__":
    main()
