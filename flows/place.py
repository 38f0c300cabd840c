"""Where a worker's flow runs work: the checkout that CONVOY_PROJECT names on that machine.

A step that Prefect runs before it imports the flow (`pull` of a deployment), in the process of the
flow run: so a deployment knows no path, and each machine has its own.
"""

import os
from pathlib import Path

from convoy import environment
from convoy.errors import UsageError
from convoy.project import Project

VARIABLE = "CONVOY_PROJECT"


def enter() -> dict[str, str]:
    """Fill in the environment as `convoy` does, and return the folder that Prefect changes to."""
    if VARIABLE not in os.environ:
        raise UsageError(
            f"{VARIABLE} is not set where this flow runs: start its worker with `convoy worker`, "
            f"or name the checkout in the image."
        )
    project = Project.find(Path(os.environ[VARIABLE]))
    environment.apply(project)
    project.create_state()
    return {"directory": str(project.root)}
