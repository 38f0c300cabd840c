"""Flow runs that are stopped: left to itself, Prefect shows them as crashed or failed."""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment
from prefect.states import Cancelled

from convoy.errors import Stopped
from convoy.programs.launcher import STOPPED

STOPS = (KeyboardInterrupt, TerminationSignal, Stopped)
"""Ctrl-C, SIGTERM, and SIGTERM to the program that a task runs."""


def cancelled(stop: BaseException) -> State[Any]:
    """Return the state of a flow run that was stopped; its caller gets `Stopped`.

    Raises `stop` again where a deployment's runner started the flow: that one knows why it ended
    it, and tells Prefect.
    """
    if deployment.id:
        raise stop
    reason = stop if isinstance(stop, Stopped) else Stopped(STOPPED)
    return Cancelled(message=str(reason), data=reason)
