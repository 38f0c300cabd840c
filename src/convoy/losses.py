"""What a training and a validation add up, without making the device wait at each step."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

EVERY = 50
"""Steps between two looks at the losses: each look makes a GPU finish what it was given."""


class Diverged(Exception):
    """A training step whose loss is no number, or so large that nothing can come of it."""

    def __init__(self, index: int, loss: float) -> None:
        super().__init__(f"the loss of batch {index} is {loss:g}")
        self.index = index
        self.loss = loss


@dataclass
class Losses:
    """The losses of one epoch's training steps; raises `Diverged` at the first hopeless one."""

    limit: float
    """A loss above it is hopeless."""
    total: float = 0.0
    """Sum over the images."""
    images: float = 0
    _pending: list[tuple[int, Tensor, int]] = field(default_factory=list)

    def reset(self) -> None:
        self.total, self.images = 0.0, 0
        self._pending.clear()

    def add(self, index: int, loss: Tensor, images: int) -> None:
        """Take the mean loss of batch `index`, a scalar on any device."""
        self._pending.append((index, loss.detach(), images))
        if len(self._pending) >= EVERY:
            self.look()

    def look(self) -> None:
        """Bring the losses here, all in one copy, and add them up."""
        if not self._pending:
            return
        found = torch.stack([loss for _, loss, _ in self._pending]).tolist()
        pending, self._pending = self._pending, []
        for (index, _, images), loss in zip(pending, found, strict=True):
            if not math.isfinite(loss) or loss > self.limit:
                raise Diverged(index, loss)
            self.total += loss * images
            self.images += images


@dataclass
class Score:
    """Sums over a validation's images, on their device."""

    sums: Tensor | None = None
    """(3,) float64 or float32: loss, right answers, images."""

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take a batch: its mean loss, logits (N, classes) and labels (N,)."""
        count = len(labels)
        right = (logits.argmax(dim=1) == labels).sum()
        found = torch.stack([loss * count, right.to(loss), torch.full_like(loss, count)])
        self.sums = found if self.sums is None else self.sums + found
