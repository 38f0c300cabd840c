"""What stands out of a range test and of timed batches, on curves whose answer is known."""

import math

import pytest

from convoy.training import suggestion
from convoy.training.rates import STEPS, rate
from convoy.training.suggestion import Point, Size


def points(losses: list[float]) -> list[Point]:
    smoothed = suggestion.smooth(losses)
    return [
        Point(rate=rate(step), loss=loss, smoothed=smooth)
        for step, (loss, smooth) in enumerate(zip(losses, smoothed, strict=True))
    ]


def falling(middle: float, rising: float) -> list[float]:
    """Losses that fall from 2.3 to 0.3 around the rate `middle`, and rise from `rising` on."""
    found = []
    for step in range(STEPS):
        decades = math.log10(rate(step) / middle)
        up = max(math.log10(rate(step) / rising), 0.0)
        found.append(0.3 + 2 / (1 + math.exp(4 * decades)) + 10 * up**2)
    return found


def test_smoothing_counts_no_loss_more_for_being_first() -> None:
    assert suggestion.smooth([2.0] * 30) == pytest.approx([2.0] * 30)
    first, second = suggestion.smooth([3.0, 1.0])
    assert first == pytest.approx(3.0)
    assert second == pytest.approx((0.95 * 3 + 1) / 1.95)
    assert suggestion.smooth([]) == []


def test_the_rates_rise_by_the_same_factor() -> None:
    assert rate(0) == pytest.approx(1e-6) and rate(STEPS - 1) == pytest.approx(10)
    factors = [rate(step + 1) / rate(step) for step in range(STEPS - 1)]
    assert factors == pytest.approx([factors[0]] * len(factors))


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_the_steepest_fall_is_found_where_it_is(middle: float) -> None:
    found = suggestion.rates(points(falling(middle, rising=100 * middle)), "loss")
    assert found.steepest and found.lowest and found.tenth
    # The smoothed loss is late by what it looks back on: 20 steps, some five times the rate.
    assert middle <= found.steepest <= 6 * middle
    assert 10 * middle <= found.lowest <= 500 * middle
    assert found.tenth == pytest.approx(found.lowest / 10, rel=0.05)


def test_one_lucky_batch_is_no_fall() -> None:
    losses = falling(1e-2, rising=1.0)
    losses[60] -= 1.0
    lucky, plain = (suggestion.rates(points(one), "loss") for one in (losses, falling(1e-2, 1.0)))
    assert lucky.steepest == plain.steepest


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [2.3],
        [2.3] * 21,
        [2.3] * 26,
        [2.3] * STEPS,
        [2.3 + 0.001 * (step % 3) for step in range(STEPS)],
        [2.3 + 0.01 * step for step in range(STEPS)],
        [5.0] * 3 + [2.3] * 197,  # by chance the first batches are hard
    ],
    ids=["none", "one", "21", "26", "flat", "noise", "rising", "a hard start"],
)
def test_where_nothing_was_learnt_nothing_is_suggested(losses: list[float]) -> None:
    found = suggestion.rates(points(losses), "rates")
    assert (found.steepest, found.lowest, found.tenth) == (None, None, None)
    assert len(found.points) == len(losses)


def sizes(*speeds: float) -> list[Size]:
    return [
        Size(batch_size=8 << place, images_per_second=speed, memory=1)
        for place, speed in enumerate(speeds)
    ]


@pytest.mark.parametrize(
    ("speeds", "fastest"),
    [
        ((100, 200, 400, 405, 404), 32),
        ((100, 200, 400, 420), 64),
        ((100,), 8),
        ((100, 102, 104), 16),  # 8 is slower by more than 3 %
        ((400, 300, 200), 8),
        ((100, 99, 400), 32),  # one size timed badly hides none behind it
    ],
)
def test_the_fastest_is_the_smallest_that_none_beats_by_more_than_three_percent(
    speeds: tuple[float, ...], fastest: int
) -> None:
    found = suggestion.sizes(sizes(*speeds), "images")
    assert found.fastest == fastest
    assert found.largest == 8 << (len(speeds) - 1)
