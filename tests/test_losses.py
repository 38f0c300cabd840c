"""Losses are added up as they are, and the first hopeless one is told by its batch."""

import math

import pytest
import torch

from convoy.losses import EVERY, Diverged, Losses, Score


def test_the_mean_is_that_of_the_images() -> None:
    losses = Losses(limit=1000)
    for index in range(2 * EVERY + 3):
        losses.add(index, torch.tensor(float(index)), images=1 + index % 3)
    losses.look()
    weights = [1 + index % 3 for index in range(2 * EVERY + 3)]
    assert losses.images == sum(weights)
    assert losses.total == sum(index * weight for index, weight in enumerate(weights))
    losses.reset()
    losses.look()
    assert (losses.total, losses.images) == (0, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 101.0])
@pytest.mark.parametrize("at", [0, 7, EVERY - 1, EVERY, EVERY + 1])
def test_the_first_hopeless_loss_is_named(bad: float, at: int) -> None:
    losses = Losses(limit=100)
    with pytest.raises(Diverged) as told:
        for index in range(EVERY + 2):
            losses.add(index, torch.tensor(bad if index >= at else 1.0), images=2)
        losses.look()
    assert told.value.index == at
    assert str(told.value.loss) == str(bad)


def test_a_score_adds_up_batches_of_any_size() -> None:
    score = Score()
    logits = torch.eye(4)
    score.add(torch.tensor(2.0), logits, torch.tensor([0, 1, 2, 0]))
    score.add(torch.tensor(5.0), logits[:1], torch.tensor([0]))
    assert score.sums is not None and score.sums.tolist() == [13, 4, 5]
