"""Telling others of a promotion from the command line, which does not wait for them."""

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from convoy import webhook

if TYPE_CHECKING:
    from convoy.project import Project


def check() -> None:
    """Refuse a webhook that could not be sent, before anything is promoted."""
    webhook.target()


def announce(project: "Project", name: str, entry: dict[str, Any]) -> None:
    """Start the program that tells of a promotion, where there is anybody to tell.

    It outlives this one; what it had to say is in .convoy/announcements.log.
    """
    if webhook.target() is None and "PREFECT_API_URL" not in os.environ:
        return
    with (project.state / "announcements.log").open("ab") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "flows.announce"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=project.root,
            start_new_session=True,
            text=True,
        )
    assert program.stdin
    program.stdin.write(json.dumps({"model": name, "entry": entry}))
    program.stdin.close()
    program.returncode = 0  # nobody waits for it
