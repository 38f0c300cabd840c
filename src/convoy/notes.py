"""What a run says of itself in MLflow, in Markdown: what, on which data, the result, how again."""

import shlex
from collections.abc import Mapping, Sequence

from convoy.outcome import Outcome, Row
from convoy.plan import Plan
from convoy.tracking import Stamps


def command(plan: Plan, names: Sequence[str], overrides: Sequence[str] | None = None) -> str:
    """Return the command line that trains these networks as the plan does, or by `overrides`."""
    given = plan.overrides if overrides is None else overrides
    settings = "".join(f" --set {shlex.quote(setting)}" for setting in given)
    return f"convoy run --dataset {plan.dataset} --architectures {','.join(names)}{settings}"


def again(
    stamps: Stamps, plan: Plan, names: Sequence[str], overrides: Sequence[str] | None = None
) -> str:
    """Return the lines that train these networks again, as `command` does."""
    changed = "\n\nThe working tree had changes that are not in that commit."
    lines = f"git checkout {stamps.commit}\n{command(plan, names, overrides)}"
    return f"To make it again:\n\n```\n{lines}\n```{changed if stamps.dirty else ''}"


def begun(what: str, stamps: Stamps, how: str) -> str:
    """Return the description of a run that has begun and may never come to its end."""
    return f"{what} on `{stamps.dataset}` version `{stamps.version}`; not at its end yet.\n\n{how}"


def training(row: Row, stamps: Stamps, epochs: tuple[int, int], how: str) -> str:
    """Return the description of a training that was evaluated; `epochs` are the best and all."""
    return (
        f"**{row.architecture}** on `{stamps.dataset}` version `{stamps.version}`.\n\n"
        f"| test accuracy | 95 % interval | validation accuracy | parameters | trained for |\n"
        f"|---|---|---|---|---|\n"
        f"| **{row.test_accuracy:.2%}** | {row.test_accuracy_low:.2%} to "
        f"{row.test_accuracy_high:.2%} | {row.val_accuracy:.2%} | {row.parameters:,} | "
        f"{row.seconds:.1f} s |\n\n"
        f"The weights are those of epoch {epochs[0]} of {epochs[1]}, the best on validation.\n\n"
        f"{how}"
    )


def trial(
    named: str, architecture: str, values: Mapping[str, object], came: str, stamps: Stamps, how: str
) -> str:
    """Return the description of a sweep's trial: what it tries, and what `came` of it."""
    tried = "\n".join(f"| `{name}` | {value} |" for name, value in values.items())
    return (
        f"{named} of a sweep: **{architecture}** on `{stamps.dataset}` version "
        f"`{stamps.version}`; {came}.\n\n| of the recipe | tried |\n|---|---|\n{tried}\n\n{how}"
    )


def sweep(architecture: str, trials: str, best: str, stamps: Stamps, how: str) -> str:
    """Return the description of a sweep that has ended, with what its `trials` came to."""
    return (
        f"A sweep of **{architecture}** on `{stamps.dataset}` version `{stamps.version}`: "
        f"{trials}. {best}\n\n{how}"
    )


def pipeline(outcome: Outcome, chosen: str, how: str) -> str:
    """Return the description of a pipeline run, with the table of its networks."""
    rows = "\n".join(
        f"| {'**' if row.architecture == chosen else ''}{row.architecture}"
        f"{'**' if row.architecture == chosen else ''} | {row.test_accuracy:.2%} | "
        f"{row.test_accuracy_low:.2%} to {row.test_accuracy_high:.2%} | {row.val_accuracy:.2%} | "
        f"{row.parameters:,} |"
        for row in outcome.rows
    )
    reasons = "\n".join(f"- {reason}" for reason in outcome.reasons)
    verdict = "allowed" if outcome.allowed else "refused"
    return (
        f"{len(outcome.rows)} networks on `{outcome.dataset}` version `{outcome.dataset_version}`. "
        f"Best on validation: **{chosen}**, registered as `{outcome.model}` version "
        f"{outcome.version} ({outcome.alias or 'no alias'}). All of it: `report/report.html` among "
        f"the artifacts.\n\n"
        f"| network | test accuracy | 95 % interval | validation accuracy | parameters |\n"
        f"|---|---|---|---|---|\n{rows}\n\n"
        f"The gate {verdict} it:\n\n{reasons}\n\n{how}"
    )
