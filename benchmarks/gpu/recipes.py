"""How networks are trained on CIFAR-10 here, as one would write it in `params.yaml`.

What they are to reach is asked of the recipes that `params.yaml` has for `cifar10`.
"""

from typing import Any

from benchmarks.datasets import ROOT
from convoy import architectures
from convoy.recipe import Recipe
from convoy.settings import load


def _recipe(**values: Any) -> Recipe:
    shared = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 5.0e-4,
        "augment": {"shift": 4, "flip": True},
    }
    return Recipe.model_validate({**shared, **values})


STANDARD = _recipe(
    learning_rate=0.1, schedule="cosine", label_smoothing=0.0, epochs=200, batch_size=128
)
"""What nearly everybody trains `resnet18` with, and its published number of epochs."""

FAST = _recipe(
    learning_rate=0.3, schedule="one_cycle", label_smoothing=0.1, epochs=20, batch_size=512
)
"""`resnet18` to 94 %."""

LEAST = {"resnet20": 90.5, "vgg16_bn": 93.0, "resnet18": 94.5, "googlenet": 93.0}
"""Percent of the test images of CIFAR-10 as JPEG files that these recipes are to get right."""


def guarded(name: str) -> Recipe:
    """Return the recipe that `params.yaml` has for a network on CIFAR-10."""
    return load(ROOT / "params.yaml", architectures.names(), dataset="cifar10").recipe(name)
