"""A recipe's optimizer, and how its learning rate goes up and down."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from convoy.recipe import Recipe

DECAY = 0.1
"""What the rate is multiplied by at each milestone of the schedule `step`."""


def optimizer(recipe: Recipe, weights: Iterable[Any]) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of `weights`: parameters, or groups of them with own rates.

    A step is one kernel for all of them, on a GPU and on a processor, where the recipe clips no
    gradients: Lightning does not clip those of such an optimizer in half precision.
    """
    fused = recipe.clip is None
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            weights,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=fused,
        )
    return torch.optim.AdamW(
        weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
    )


def schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler | None:
    """Return what sets the rate before each of `steps` optimizer steps; None where it stays."""
    if recipe.schedule == "one_cycle":
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps,
            cycle_momentum=False,  # the recipe's momentum is the one that counts
        )
    if recipe.schedule == "constant" and not recipe.warmup:
        return None
    return LambdaLR(optimizer, lambda step: factor(recipe, step, steps))


def factor(recipe: Recipe, step: int, steps: int) -> float:
    """Return what the rate is multiplied by before step `step` of `steps`, the first being 0.

    It rises in a straight line for the share `warmup` of the steps. Then `cosine` falls by half a
    wave to zero (Loshchilov and Hutter, "SGDR", 2017), `step` to a tenth at each milestone.
    """
    rising = recipe.warmup * steps
    if step < rising:
        return min(1.0, (step + 1) / rising)
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
    if recipe.schedule == "step":
        return DECAY ** sum(step >= milestone * steps for milestone in recipe.milestones)
    return 1.0
