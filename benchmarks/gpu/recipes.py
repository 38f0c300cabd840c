"""How networks are trained on CIFAR-10 here, as one would write it in `params.yaml`."""

from convoy.recipe import Recipe

_CROPPED = {"shift": 4, "flip": True}

STANDARD = Recipe.model_validate(
    {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5.0e-4,
        "schedule": "cosine",
        "label_smoothing": 0.0,
        "epochs": 200,
        "batch_size": 128,
        "augment": _CROPPED,
    }
)
"""What nearly everybody trains `resnet18` with, and its published number of epochs."""

FAST = STANDARD.model_copy(
    update={
        "learning_rate": 0.3,
        "schedule": "one_cycle",
        "label_smoothing": 0.1,
        "epochs": 20,
        "batch_size": 512,
    }
)
"""`resnet18` to 94 %: as good as the standard one in a tenth of the epochs, nearly."""

GUARDS = {
    # So small a network does not learn the images by heart: no smoothing, and more epochs.
    "resnet20": FAST.model_copy(
        update={"learning_rate": 0.2, "label_smoothing": 0.0, "epochs": 80, "batch_size": 256}
    ),
    "vgg16_bn": FAST.model_copy(update={"learning_rate": 0.1, "epochs": 45, "batch_size": 256}),
    "resnet18": FAST.model_copy(update={"learning_rate": 0.2, "epochs": 45, "batch_size": 256}),
    "googlenet": FAST.model_copy(update={"learning_rate": 0.1, "epochs": 45, "batch_size": 256}),
}
"""Recipes that are to reach the accuracies in `REACHED`."""

REACHED = {"resnet20": 90.5, "vgg16_bn": 93.0, "resnet18": 94.5, "googlenet": 93.0}
"""Percent of the test images of CIFAR-10 as JPEG files."""
