"""The watcher of `convoy up`, until it is ended; each of its changes to the disk is whole."""

import os
import time

from convoy import architectures
from convoy.deployments import read_deployments
from convoy.files import write_json
from convoy.prefect_api import PrefectApi
from convoy.prefect_server import wait_for
from convoy.project import Project
from convoy.settings import load
from convoy.triggers import calls
from convoy.triggers.watch import Watch, Watched, look_of

PAUSE = 0.1
SIGN = 5.0
"""Seconds between two signs of life."""


def main() -> None:
    """Watch what params.yaml says."""
    server = PrefectApi()
    wait_for(server.address)
    project = Project.find()
    triggers = load(project.params, architectures.names()).triggers
    deployments = read_deployments(project)
    folder = project.state / "triggers"
    called = [name for name, trigger in triggers.items() if trigger.kind == "call"]
    accepted = calls.Calls(folder, called, calls.secret() if called else "")
    watched = [
        Watched(
            name,
            trigger,
            deployments.named(trigger.deployment).full_name,
            look_of(project.root, trigger, name, accepted, server),
        )
        for name, trigger in triggers.items()
    ]
    watch = Watch(folder, watched, server)
    watch.begin()
    if called:
        calls.serve(accepted, os.environ[calls.HOST], int(os.environ[calls.PORT]))
    signed = 0.0
    while True:
        watch.step(now := time.monotonic())
        if now - signed >= SIGN:
            write_json(project.state / "watcher.alive", time.time())
            signed = now
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
