"""What a search for a learning rate and a batch size has seen, and what follows from it."""

from collections.abc import Sequence
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

SMOOTHING = 0.95
"""The share of the past in the smoothed loss: it looks back on some 20 steps."""
FIRST = 20
"""Steps before which the smoothed loss is that of a few batches."""
AROUND = 5
"""Steps before and behind a point between which the fall is measured: one batch is luck."""
LEARNT = 0.02
"""The share that the loss must have fallen by: noise alone falls by less."""
GAIN = 0.03
"""By how much a larger batch must be faster, for what it costs in memory and in steps."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Plain):
    """One step of the range test."""

    rate: float
    loss: float
    """Of this step's batch."""
    smoothed: float


class Rates(_Plain):
    """A range test, and the rates that stand out of it; None where nothing was learnt."""

    points: list[Point]
    ended: Literal["loss", "rates"]
    """Because the loss had grown too much, or because there were no more rates to try."""
    steepest: float | None
    """Where the loss falls fastest: the suggestion."""
    lowest: float | None
    """Where the loss is lowest: with it training goes neither up nor down."""
    tenth: float | None
    """A tenth of that."""


class Size(_Plain):
    """One batch size that fits the memory."""

    batch_size: int
    images_per_second: float
    """In training, with reading and augmentation."""
    memory: int
    """Bytes that training took at most: all on a GPU, on a processor what came with the batches."""


class Sizes(_Plain):
    """The batch sizes that were tried, each about twice the one before."""

    tried: list[Size]
    largest: int
    fastest: int
    """The smallest than which none is faster by more than `GAIN`."""
    ended: Literal["memory", "images", "seconds"]
    """The next one does not fit the memory, is more than the training images, or takes too long."""


class Suggestion(_Plain):
    """What came of a search."""

    device: str
    rates: Rates
    sizes: Sizes


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the exponential moving average of losses, none of them counted more for being first.

    The correction for the start is that of Kingma and Ba, "Adam" (2015), section 3.
    """
    smoothed, average = [], 0.0
    for step, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**step))
    return smoothed


def rates(points: Sequence[Point], ended: Literal["loss", "rates"]) -> Rates:
    """Return what stands out of a range test whose rates grow by the same factor each step."""
    losses = [point.smoothed for point in points]
    best = min(range(FIRST, len(points)), key=losses.__getitem__, default=0)

    def fall(at: int) -> float:
        return losses[at - AROUND] - losses[min(at + AROUND, len(losses) - 1)]

    steepest = max(range(FIRST + AROUND, best + 1), key=fall, default=None)
    begun = median(point.loss for point in points[:FIRST]) if points else 0.0
    if steepest is None or losses[best] > (1 - LEARNT) * begun:
        return Rates(points=list(points), ended=ended, steepest=None, lowest=None, tenth=None)
    lowest = points[best].rate
    return Rates(
        points=list(points),
        ended=ended,
        steepest=_rounded(points[steepest].rate),
        lowest=_rounded(lowest),
        tenth=_rounded(lowest / 10),
    )


def sizes(tried: Sequence[Size], ended: Literal["memory", "images", "seconds"]) -> Sizes:
    """Return what stands out of the batch sizes that were tried, one at least."""
    most = max(size.images_per_second for size in tried)
    fast = (size for size in tried if size.images_per_second * (1 + GAIN) >= most)
    return Sizes(
        tried=list(tried),
        largest=max(size.batch_size for size in tried),
        fastest=min(size.batch_size for size in fast),
        ended=ended,
    )


def _rounded(rate: float) -> float:
    """Two digits: the next seed's curve has others behind them."""
    return float(f"{rate:.2g}")
