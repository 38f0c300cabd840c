"""A person's word on what the gate allowed, asked for by the suspended run's form in Prefect's UI.

Only a run that a deployment's runner started can be suspended: its process ends, and the runner
starts it again once somebody has answered. Any other run ends with its version waiting.
"""

from prefect import get_run_logger
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from convoy import outcome
from convoy.errors import ConvoyError
from convoy.outcome import Outcome
from convoy.pipeline import decision
from convoy.plan import Plan
from flows.announce import tell

PATIENCE = 30 * 24 * 3600
"""Seconds until the question has gone stale and the flow run fails; the version waits on."""


class Decision(RunInput):
    """The form."""

    promote: bool = Field(description="Whether this version may serve.")
    reason: str = Field(min_length=1, description="Why; it is kept in the history.")
    by: str = Field(min_length=1, description="Who decides; it is kept too.")


def decide(plan: Plan, result: Outcome) -> Outcome:
    """Suspend the flow run that asks, and do what its form says once it is resumed.

    Returns `result` as it is where nobody is asked, another flow run asks already, or this one's
    user could not do what the form would say.
    """
    if not (
        result.waits
        and result.alias
        and deployment.id
        and decision.asks(plan, result, str(flow_run.id))
    ):
        return result
    form = Decision.with_initial_data(
        description=f"**{result.model} version {result.version}.** {result.sentence}"
    )
    # The version is part of the key: an answer about one version is none about another.
    said = suspend_flow_run(form, key=f"{result.model}-{result.version}", timeout=PATIENCE)
    decided, entry = decision.follow(plan, result, said.promote, said.reason, said.by)
    outcome.keep(plan, decided)
    if entry:
        try:
            tell(result.model, vars(entry))
        except ConvoyError as error:
            get_run_logger().warning(str(error))
    return decided
