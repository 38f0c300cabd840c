"""Challenger and champion are scored on the same images, by the names of their classes."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convoy.evaluation.contest import Contestant, collect
from convoy.evaluation.evidence import Evidence

IMAGES = torch.zeros(8, 4, 4, 1, dtype=torch.uint8)
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])


class Answering(nn.Module):
    """Takes its time, and has so many parameters."""

    def __init__(self, parameters: int, work: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(parameters))
        self.work = torch.zeros(work, work)

    def forward(self, images: Tensor) -> Tensor:
        return (self.work @ self.work)[:2, :2] + self.weight[0]


def contestant(
    version: str,
    said: Sequence[str],
    classes: Sequence[str] = ("cat", "dog"),
    parameters: int = 10,
    work: int = 8,
) -> Contestant:
    """A version that says so of the eight images, quite sure of itself."""
    found: NDArray[np.float32] = np.full((len(said), len(classes)), 0.1, np.float32)
    for image, name in enumerate(said):
        found[image, classes.index(name)] = 1 - 0.1 * (len(classes) - 1)
    return Contestant(version, Answering(parameters, work), classes, found)


RIGHT = ["cat"] * 4 + ["dog"] * 4


def test_one_alone_is_scored_by_itself() -> None:
    found = collect("v", IMAGES, LABELS, 0.05, contestant("1", [*RIGHT[:-1], "cat"]))
    assert (found.images, found.support) == (8, {"cat": 4, "dog": 4})
    assert found.challenger.accuracy == 7 / 8
    assert found.challenger.recall == {"cat": 1.0, "dog": 0.75}
    assert found.challenger.parameters == 10
    assert found.against is None and found.incomparable is None


def test_two_are_paired_image_by_image() -> None:
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", ["dog", *RIGHT[1:]]),
        contestant("1", [*RIGHT[:5], "cat", "cat", "cat"]),
        np.zeros(8, np.bool_),
    )
    assert found.against
    assert (found.against.paired.challenger_only, found.against.paired.champion_only) == (3, 1)
    assert found.against.paired.gain == 2 / 8
    assert found.against.gain_low < 2 / 8
    assert found.against.champion.recall == {"cat": 1.0, "dog": 0.25}
    assert found.against.left_out == 0
    assert Evidence.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_champions_classes_count_by_name_in_another_order_and_number() -> None:
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", RIGHT),
        contestant("1", ["cat", "owl", "cat", "cat", *RIGHT[4:]], ("owl", "dog", "cat")),
        np.zeros(8, np.bool_),
    )
    assert found.against
    assert found.against.champion.accuracy == 7 / 8
    assert found.against.paired.challenger_only == 1
    assert found.against.champion.recall == {"cat": 0.75, "dog": 1.0}


def test_a_class_that_the_champion_does_not_know_is_always_wrong_for_it() -> None:
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", RIGHT),
        contestant("1", ["cat"] * 8, ("cat",)),
        np.zeros(8, np.bool_),
    )
    assert found.against and found.against.champion.recall == {"cat": 1.0, "dog": 0.0}


def test_images_that_the_champion_has_seen_are_left_out_for_both() -> None:
    seen = np.array([True, False, False, False, False, False, False, True])
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", ["dog", *RIGHT[1:]]),
        contestant("1", RIGHT),
        seen,
    )
    assert found.against and found.against.left_out == 2
    assert (found.images, found.support) == (6, {"cat": 3, "dog": 3})
    assert found.challenger.accuracy == 1.0, "its mistake is among those that were left out"


def test_a_champion_that_has_seen_every_image_cannot_be_compared_with() -> None:
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", RIGHT),
        contestant("1", RIGHT),
        np.ones(8, np.bool_),
    )
    assert found.against is None
    assert found.incomparable == "champion version 1 trained on each of the 8 images"


def test_where_nobody_knows_what_was_seen_all_images_count_and_it_is_told() -> None:
    found = collect("v", IMAGES, LABELS, 0.05, contestant("2", RIGHT), contestant("1", RIGHT), None)
    assert found.images == 8
    assert found.against and found.against.left_out is None


def test_the_one_that_computes_more_takes_more_time() -> None:
    found = collect(
        "v",
        IMAGES,
        LABELS,
        0.05,
        contestant("2", RIGHT, work=4),
        contestant("1", RIGHT, work=900),
        np.zeros(8, np.bool_),
    )
    assert found.against
    mine, theirs = found.challenger, found.against.champion
    assert mine.microseconds_per_image * 4 < theirs.microseconds_per_image


def test_a_surer_bound_is_a_lower_one() -> None:
    challenger = contestant("2", ["dog", *RIGHT[1:]])
    champion = contestant("1", [*RIGHT[:6], "cat", "cat"])
    bounds = []
    for alpha in (0.2, 0.05):
        found = collect("v", IMAGES, LABELS, alpha, challenger, champion, np.zeros(8, np.bool_))
        assert found.against
        bounds.append(found.against.gain_low)
    assert bounds[1] <= bounds[0] <= 1 / 8
    assert bounds[1] == pytest.approx(-0.375, abs=0.13)
