"""A recipe's values go together, and those that are absent are off."""

from typing import Any

import pytest
from pydantic import ValidationError

from convoy.recipe import Recipe
from tests.recipes import PLAIN, recipe


def test_what_is_absent_is_off() -> None:
    found = Recipe.model_validate(PLAIN)
    assert found.flat() == PLAIN
    assert (found.clip, found.ema, found.patience, found.budget, found.balance) == (None,) * 5
    assert (found.accumulate, found.warmup, found.milestones) == (1, 0, ())


def test_what_is_on_has_names_with_dots() -> None:
    values: dict[str, Any] = {
        "clip": 1.0,
        "augment": {"shift": 2, "policy": {"name": "trivial"}},
        "options": {"pool": "max"},
        "weights": {"from": "a.pth", "sha256": "0" * 64, "frozen": 0.5, "rate": 0.1},
    }
    found = recipe(**values).flat()
    assert {name: found[name] for name in found.keys() - PLAIN.keys()} == {
        "clip": 1.0,
        "augment.shift": 2,
        "augment.policy.name": "trivial",
        "options.pool": "max",
        "weights.from": "a.pth",
        "weights.sha256": "0" * 64,
        "weights.frozen": 0.5,
        "weights.rate": 0.1,
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schedule": "step"}, "'step' and its milestones go together"),
        ({"milestones": [0.5]}, "'step' and its milestones go together"),
        ({"warmup": 0.1}, "'one_cycle' rises by itself: leave warmup out"),
        ({"accumulate": 33}, "a batch of 32 cannot be taken in 33 parts"),
        ({"schedule": "step", "milestones": [1.0]}, "milestones.0"),
        ({"clip": 0.0}, "clip"),
        ({"ema": 1.0}, "ema"),
        ({"patience": 0}, "patience"),
        ({"budget": 0.0}, "budget"),
        ({"balance": "both"}, "balance"),
        ({"augment": {"shift": -1}}, "augment.shift"),
        ({"augment": {"policy": {"name": "trivial", "magnitude": 3.0}}}, "augment.policy"),
        ({"weights": {"from": "a.pth", "sha256": "0"}}, "weights.sha256"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        recipe(**values)
