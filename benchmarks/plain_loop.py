"""The peer: a plain PyTorch loop over the same networks, recipes and arrays, and nothing else.

No checkpoints, no tracking, no evaluation but the validation loss of each epoch. Reads what
`convoy run` prepared; prints one JSON object.
"""

import json
import time

import torch

from convoy import architectures, versions
from convoy.augmentation.composition import Augmentation
from convoy.datamodule import EVALUATION_BATCH, Batches, read_split
from convoy.plan import Plan, make_plan
from convoy.preprocessing import Preprocessing
from convoy.project import Project
from convoy.readers import Resident
from convoy.versions import Version


def train(plan: Plan, version: Version, name: str) -> float:
    """Return the seconds that a fit takes."""
    files, manifest = version.files, version.manifest
    recipe, seed = plan.settings.recipe(name), plan.settings.run.seed
    epoch = 0
    train_batches, val_batches = (
        Batches(Resident(images), labels, batch_size, seed, lambda: epoch)
        for (images, labels), batch_size, seed in (
            (read_split(files, "train"), recipe.batch_size, seed),
            (read_split(files, "val"), EVALUATION_BATCH, None),
        )
    )
    augmentation = Augmentation(recipe.augment, manifest["channels"])
    began = time.monotonic()
    torch.manual_seed(seed)
    classes = len(manifest["classes"])
    description = architectures.describe(name)
    network = architectures.build(
        name,
        num_classes=classes,
        in_channels=len(manifest["mean"]),
        image_size=manifest["image_size"],
        options=recipe.options,
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    moments = (manifest["mean"], manifest["std"])
    normalise = Preprocessing(manifest["image_size"], manifest["channels"], *moments).normalise
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    steps = len(train_batches) * recipe.epochs
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, steps, cycle_momentum=False
    )
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for _ in range(recipe.epochs):
        network.train()
        for images, labels in train_batches:
            optimizer.zero_grad()
            images, labels = augmentation(images, labels, torch.default_generator, classes)
            outputs = network(normalise(images))
            loss: torch.Tensor = description.loss(outputs, labels, criterion)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
        network.eval()
        with torch.no_grad():
            for images, labels in val_batches:
                criterion(network(normalise(images)), labels)
        epoch += 1
    return time.monotonic() - began


def main() -> None:
    """Train every architecture of params.yaml, one after another."""
    project = Project.find()
    plan = make_plan(project)
    version = versions.current(project, plan.dataset)
    print(json.dumps({name: train(plan, version, name) for name in plan.architectures}))


if __name__ == "__main__":
    main()
