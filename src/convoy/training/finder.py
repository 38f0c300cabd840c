"""The search for a learning rate and a batch size, as a program of its own.

It writes nothing: the weights that it trains are thrown away, and `params.yaml` is a person's.
"""

from typing import Any

from convoy.programs.entry import Emit
from convoy.training.batch_sizes import measure
from convoy.training.rates import range_test
from convoy.training.spec import Beginning
from convoy.training.suggestion import Suggestion
from convoy.training.trials import Trials


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Search as the spec says. Return the suggestion."""
    return find(Beginning.model_validate(spec), emit).model_dump()


def find(spec: Beginning, emit: Emit) -> Suggestion:
    """Measure batch sizes, then try the rates; the same seed gives the same rates.

    On one device. Emits {"event": "phase", "phase"} as each begins, and what each emits itself.
    Where the recipe's batch does not fit the memory, it is taken in parts, as a training takes it.
    """
    trials = Trials(spec)
    emit({"event": "phase", "phase": "batch size"})
    sizes = measure(trials, emit)
    emit({"event": "phase", "phase": "learning rate"})
    parts = spec.recipe.accumulate
    if sizes.ended == "memory":
        parts = max(parts, -(-min(spec.recipe.batch_size, trials.images) // sizes.largest))
    rates = range_test(trials, parts, emit)
    return Suggestion(device=str(trials.device), rates=rates, sizes=sizes)
