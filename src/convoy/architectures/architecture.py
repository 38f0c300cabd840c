"""The record that one architecture file offers for each of its networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and labels (N,) to a scalar loss."""


def plain_loss(outputs: Any, labels: Tensor, criterion: Criterion) -> Tensor:
    """The loss of a network that returns its logits and nothing else."""
    return criterion(outputs, labels)


class Task(NamedTuple):
    """What a paper made its network for; its parameters and costs are counted there."""

    channels: int
    side: int
    """Pixels."""
    classes: int


IMAGENET = Task(channels=3, side=224, classes=1000)
CIFAR10 = Task(channels=3, side=32, classes=10)


class Accuracy(NamedTuple):
    """How often a network was right where it was published, in percent of the images."""

    on: str
    """The images, ImageNet's validation set say."""
    source: str
    top1: float | None = None
    top5: float | None = None


def published_accuracy(top1: float, top5: float) -> Accuracy:
    """That of the weights which torchvision publishes, as its documentation has it."""
    source = "torchvision's weights IMAGENET1K_V1, one centre crop"
    return Accuracy("ImageNet", source, top1, top5)


class Weights(NamedTuple):
    """The state dict that PyTorch publishes of a network, and the images that it was made with.

    Its images are RGB. `mean` and `std` are a value a channel, in levels of 0 to 255.
    """

    heads: tuple[str, ...]
    """The layers whose rows are classes, the network's own first."""
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    training_only: tuple[str, ...] = ()
    """The parts that a file may lack, because an evaluation does not need them."""


@dataclass(frozen=True)
class Architecture:
    """A network as its paper wrote it.

    `network(num_classes=, in_channels=, image_size=)` builds it; it takes images (N, C, H, W) as
    float and gives logits (N, classes) in evaluation. In training it may give more: then `loss`
    knows what, and nobody else has to. Its further keyword arguments are the network's options
    (see `convoy.architectures.options`).
    """

    network: Callable[..., nn.Module]
    paper: str
    year: int
    smallest: int
    """The smallest image side in pixels that the network can take."""
    task: Task = IMAGENET
    accuracy: Accuracy | None = None
    weights: Weights | None = None
    loss: Callable[[Any, Tensor, Criterion], Tensor] = plain_loss
