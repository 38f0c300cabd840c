"""The runner of `convoy up`: serves the pipeline with its schedule, from the Procfile."""

import os

from prefect.schedules import Cron

from convoy import architectures
from convoy.prefect_server import wait_for
from convoy.project import Project
from convoy.settings import load
from flows.pipeline import pipeline


def main() -> None:
    """Serve until interrupted; a run that is due while another is at work waits for it."""
    wait_for(os.environ["PREFECT_API_URL"])
    schedule = load(Project.find().params, architectures.names()).schedule
    nightly = Cron(schedule.cron, timezone=schedule.timezone)
    pipeline.serve(name="nightly", schedules=[nightly], limit=1, print_starting_message=False)


if __name__ == "__main__":
    main()
