"""Short recipes for tests."""

from typing import Any

from convoy.recipe import Recipe

PLAIN: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "one_cycle",
    "label_smoothing": 0.0,
    "epochs": 5,
    "batch_size": 32,
}


def recipe(**values: Any) -> Recipe:
    """A whole recipe: the plain one with other values."""
    return Recipe.model_validate({**PLAIN, **values})
