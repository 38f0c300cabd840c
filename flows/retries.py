"""Which failures are worth another try."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from convoy.errors import ConvoyError


def transient(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell a service that may come back from what a user has to mend first."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, ConvoyError) or type(error) is ConvoyError
