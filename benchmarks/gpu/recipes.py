"""How networks are trained on CIFAR-10 here, as one would write it in `params.yaml`."""

from typing import Any

from convoy.recipe import Recipe


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

GUARDS = {
    # So small a network does not learn the images by heart: no smoothing, and more epochs.
    "resnet20": _recipe(
        learning_rate=0.2, schedule="one_cycle", label_smoothing=0.0, epochs=80, batch_size=256
    ),
    "vgg16_bn": _recipe(
        learning_rate=0.1, schedule="one_cycle", label_smoothing=0.1, epochs=45, batch_size=256
    ),
    "resnet18": _recipe(
        learning_rate=0.2, schedule="one_cycle", label_smoothing=0.1, epochs=45, batch_size=256
    ),
    "googlenet": _recipe(
        learning_rate=0.1, schedule="one_cycle", label_smoothing=0.1, epochs=45, batch_size=256
    ),
}

LEAST = {"resnet20": 90.5, "vgg16_bn": 93.0, "resnet18": 94.5, "googlenet": 93.0}
"""Percent of the test images of CIFAR-10 as JPEG files that these recipes are to get right."""
