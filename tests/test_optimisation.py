"""Rates as their formulas have them, and optimizers with the recipe's values."""

import math
from typing import Any

import pytest
import torch
from torch.optim import SGD, AdamW

from convoy.optimisation import factor, optimizer, schedule
from tests.recipes import recipe


def rates(steps: int, **values: Any) -> list[float]:
    """The rate of each step of a training."""
    chosen = recipe(learning_rate=0.5, **values)
    found = optimizer(chosen, [torch.nn.Parameter(torch.zeros(1))])
    setting = schedule(chosen, found, steps)
    used = []
    for _ in range(steps):
        used.append(found.param_groups[0]["lr"])
        found.step()
        if setting:
            setting.step()
    return used


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adamw", AdamW)])
def test_the_recipe_names_the_optimizer_and_its_values(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    found = optimizer(recipe(optimizer=name), [torch.nn.Parameter(torch.zeros(1))])
    assert type(found) is kind
    (group,) = found.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.05, 5e-4)
    assert name == "adamw" or group["momentum"] == 0.9


def test_constant_stays() -> None:
    assert rates(7, schedule="constant") == [0.5] * 7


def test_warming_up_rises_in_a_straight_line_to_the_rate() -> None:
    used = rates(20, schedule="constant", warmup=0.25)
    assert used[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert used[5:] == [0.5] * 15


def test_cosine_falls_by_half_a_wave_behind_the_warm_up() -> None:
    plain = rates(10, schedule="cosine")
    assert plain == pytest.approx([0.25 * (1 + math.cos(math.pi * t / 10)) for t in range(10)])
    warm = rates(15, schedule="cosine", warmup=1 / 3)
    assert warm[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert warm[5:] == pytest.approx(plain)


def test_steps_take_a_tenth_at_each_milestone() -> None:
    used = rates(10, schedule="step", milestones=[0.5, 0.8])
    assert used == pytest.approx([0.5] * 5 + [0.05] * 3 + [0.005] * 2)


def test_one_cycle_rises_to_the_recipes_rate_and_ends_near_zero() -> None:
    used = rates(100, schedule="one_cycle")
    assert max(used) == pytest.approx(0.5)
    assert 20 < used.index(max(used)) < 40 and used[-1] < 1e-4


def test_groups_keep_the_ratio_of_their_rates() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.5, 0.05)]
    chosen = recipe(learning_rate=0.5, schedule="one_cycle")
    found = optimizer(chosen, groups)
    setting = schedule(chosen, found, 10)
    assert setting is not None
    for _ in range(10):
        first, second = (group["lr"] for group in found.param_groups)
        assert first == pytest.approx(10 * second)
        found.step()
        setting.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_a_rate(steps: int) -> None:
    for values in ({"schedule": "cosine", "warmup": 0.9}, {"schedule": "constant", "warmup": 0.1}):
        for step in range(steps):
            assert 0 < factor(recipe(**values), step, steps) <= 1
