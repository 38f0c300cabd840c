"""The peer: a plain PyTorch loop over the same networks, recipes and arrays, and nothing else.

No checkpoints, no tracking, no evaluation but the validation loss of each epoch. Reads what
`convoy run` prepared; prints one JSON object.
"""

import json
import time

import torch

from convoy import architectures, versions
from convoy.datamodule import Batches, read_split
from convoy.plan import Plan, make_plan
from convoy.project import Project


def train(plan: Plan, files: dict[str, str], name: str) -> float:
    """Return the seconds that a fit takes."""
    recipe, seed = plan.settings.recipe(name), plan.settings.run.seed
    epoch = 0
    train_batches = Batches(
        *read_split(files, "train"), recipe.batch_size, seed, recipe.shift, lambda: epoch
    )
    val_batches = Batches(*read_split(files, "val"), batch_size=256)
    began = time.monotonic()
    torch.manual_seed(seed)
    description = architectures.describe(name)
    network = architectures.build(
        name, num_classes=10, in_channels=1, image_size=plan.data.image_size
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
            outputs = network((images.float() - 78) / 100)
            loss: torch.Tensor = description.loss(outputs, labels, criterion)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
        network.eval()
        with torch.no_grad():
            for images, labels in val_batches:
                criterion(network((images.float() - 78) / 100), labels)
        epoch += 1
    return time.monotonic() - began


def main() -> None:
    """Train every architecture of params.yaml, one after another."""
    project = Project.find()
    plan = make_plan(project)
    files = versions.current(project, plan.dataset).files
    print(json.dumps({name: train(plan, files, name) for name in plan.architectures}))


if __name__ == "__main__":
    main()
