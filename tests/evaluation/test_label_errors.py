"""That labels which somebody has made wrong are found, on real digits and a real training."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn import functional as F

from convoy.architectures import build
from convoy.evaluation.label_errors import quality, suspects
from convoy.evaluation.predictions import Predictions, Scored
from tests.evaluation.scorings import contents, names, predictions

FLIPPED = 0.02


@pytest.fixture(scope="module")
def planted() -> tuple[Predictions, NDArray[np.bool_]]:
    """A perceptron on digits of which 2 % are labelled wrong, in every split, and which these are.

    What it says of val, 200 images, and test, 600; those that are wrong there, in that order.
    """
    digits = load_digits()
    random = np.random.default_rng(7)
    order = random.permutation(len(digits.target))
    images = torch.tensor(digits.images[order][:, None] / 16, dtype=torch.float32)
    labels = digits.target[order].astype(np.int64)
    wrong = np.zeros(len(labels), bool)
    wrong[random.permutation(len(labels))[: round(FLIPPED * len(labels))]] = True
    labels = np.where(wrong, (labels + random.integers(1, 10, len(labels))) % 10, labels)
    torch.manual_seed(0)
    network = build("mlp", num_classes=10, in_channels=1, image_size=8, options={"hidden": [64]})
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    targets = torch.from_numpy(labels)
    for _ in range(12):
        for start in range(800, len(labels), 50):
            batch = slice(start, start + 50)
            loss = F.cross_entropy(network(images[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        shares = network(images[:800]).softmax(dim=1).numpy()
    named = contents(800)
    val, test = (
        Scored(shares[part], labels[part], named[part], names(10))
        for part in (slice(0, 200), slice(200, 800))
    )
    return Predictions(test, val), wrong[:800]


def test_most_of_2_percent_flipped_labels_are_within_the_worst_5_percent(
    planted: tuple[Predictions, NDArray[np.bool_]],
) -> None:
    found, wrong = planted
    worst = quality(found).argsort()[: round(0.05 * len(wrong))]
    assert wrong.sum() >= 10
    assert wrong[worst].sum() / wrong.sum() >= 0.6


def test_suspects_are_mostly_what_was_flipped_the_worst_first(
    planted: tuple[Predictions, NDArray[np.bool_]],
) -> None:
    found, wrong = planted
    listed = suspects(found)
    places = [one.number + (200 if one.split == "test" else 0) for one in listed]
    assert wrong[places].sum() >= 0.6 * wrong.sum()
    given = [one.given_probability for one in listed]
    assert given == sorted(given)
    for one, place in zip(listed, places, strict=True):
        assert one.image == f"{place:064x}"
        assert one.given != one.suggested


def test_few_images_and_empty_classes_are_judged_without_a_warning() -> None:
    for images, classes in ((1, 5), (2, 2), (6, 50), (300, 2)):
        suspects(predictions(images, classes))


def test_of_a_single_class_no_label_is_suspected() -> None:
    shares = np.ones((5, 1), np.float32)
    one = Scored(shares, np.zeros(5, np.int64), contents(5), ("only",))
    other = Scored(shares, np.zeros(5, np.int64), contents(5, 5), ("only",))
    assert suspects(Predictions(one, other)) == []
