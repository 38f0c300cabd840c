"""Labels that somebody has made wrong, on real photographs and handwriting, are found.

2 % of the labels of every split are flipped, a network learns from them, and the list that its
owner would look through has most of those of val and test at its top.
"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.datasets import MNIST, SIGNS, dataset_of, prepared
from convoy.architectures import build
from convoy.datamodule import read_split
from convoy.evaluation.label_errors import quality, suspects
from convoy.evaluation.predictions import Predictions, Scored
from convoy.splits import Split
from tests.evaluation.scorings import contents, names

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

FLIPPED = 0.02
LOOKED_AT = 0.05
"""Share of the images that somebody looks through."""
CLASSIC = {"activation": "relu", "pool": "max", "batch_norm": True}


def images_of(files: dict[str, str], split: Split, most: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Return images (N, 1, 32, 32) from -1 to 1 and their labels."""
    images, labels = read_split(files, split)
    planes = images[:most].permute(0, 3, 1, 2).float()
    return planes / 127.5 - 1, labels[:most].numpy()


def flipped(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the labels with 2 % of them wrong."""
    random = np.random.default_rng(seed)
    found = labels.copy()
    places = random.permutation(len(labels))[: round(FLIPPED * len(labels))]
    found[places] = (labels[places] + random.integers(1, 10, len(places))) % 10
    return found


def learn(images: Tensor, labels: Tensor, epochs: int) -> torch.nn.Module:
    """Train a network on images that move by up to two pixels."""
    torch.manual_seed(0)
    network = build("lenet5", num_classes=10, in_channels=1, image_size=32, options=CLASSIC)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    batches = -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs * batches)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(images)), 64):
            down, across = torch.randint(-2, 3, (2,)).tolist()
            moved = images[chosen].roll((down, across), dims=(2, 3))
            loss = F.cross_entropy(network(moved), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


@pytest.fixture(scope="module", params=["mnist", "sign-digits"])
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Predictions, NDArray[np.bool_]]:
    """What a network says of val and test, and which of their labels, in that order, are wrong."""
    origin, source, epochs = {
        "mnist": (MNIST, "mnist", 3),
        "sign-digits": (SIGNS, "files", 30),
    }[request.param]
    if not origin.exists():
        pytest.skip(f"needs {origin}, which this machine does not have")
    folder = tmp_path_factory.mktemp(request.param)
    files = prepared(dataset_of(source, origin, "gray", 32), folder)
    images, labels = images_of(files, "train", 12_000)
    network = learn(images, torch.from_numpy(flipped(labels, 0)), epochs)
    said: dict[str, Scored] = {}
    wrong = []
    for seed, split in enumerate(("val", "test"), start=1):
        images, labels = images_of(files, split, 10_000)  # type: ignore[arg-type]
        with torch.inference_mode():
            shares = torch.cat([network(part).softmax(dim=1) for part in torch.split(images, 500)])
        given = flipped(labels, seed)
        wrong.append(given != labels)
        named = contents(len(labels), seed * 100_000)
        said[split] = Scored(shares.numpy(), given, named, names(10))
    return Predictions(said["test"], said["val"]), np.concatenate(wrong)


def test_most_of_the_flipped_labels_are_within_the_worst_twentieth(
    planted: tuple[Predictions, NDArray[np.bool_]],
) -> None:
    found, wrong = planted
    worst = quality(found).argsort()[: round(LOOKED_AT * len(wrong))]
    share = wrong[worst].sum() / wrong.sum()
    assert share >= 0.6, f"{share:.1%} of {wrong.sum()} among {len(worst)}"


def test_the_list_of_suspects_has_most_of_them_the_worst_first(
    planted: tuple[Predictions, NDArray[np.bool_]],
) -> None:
    found, wrong = planted
    first = suspects(found)[: round(LOOKED_AT * len(wrong))]
    places = [one.number + (len(found.val) if one.split == "test" else 0) for one in first]
    assert wrong[places].sum() >= 0.6 * wrong.sum()
