"""The record that one architecture file offers for each of its networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and labels (N,) to a scalar loss."""


def plain_loss(outputs: Any, labels: Tensor, criterion: Criterion) -> Tensor:
    """The loss of a network that returns its logits and nothing else."""
    return criterion(outputs, labels)


@dataclass(frozen=True)
class Architecture:
    """A network as its paper wrote it.

    `network(num_classes=, in_channels=, image_size=)` builds it; it takes images (N, C, H, W) as
    float and gives logits (N, classes) in evaluation. In training it may give more: then `loss`
    knows what, and nobody else has to.
    """

    network: Callable[..., nn.Module]
    paper: str
    year: int
    smallest: int
    """The smallest image side in pixels that the network can take."""
    loss: Callable[[Any, Tensor, Criterion], Tensor] = plain_loss
