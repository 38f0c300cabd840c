"""Training on from published weights: what is frozen until when, and how fast each layer learns.

Yosinski et al., "How transferable are features in deep neural networks?" (2014),
https://arxiv.org/abs/1411.1792: the first layers are general, the last ones are of their task.
Howard and Ruder, "Universal language model fine-tuning" (2018), https://arxiv.org/abs/1801.06146:
smaller rates for earlier layers, and unfreezing after the head has learnt.
"""

from typing import Any, NamedTuple

from torch import nn

from convoy.architectures.weights import published
from convoy.errors import UsageError
from convoy.recipe import Weights

TIERS = 8
"""Parameter groups below the heads at most: an optimizer works through them one by one."""
SMALLEST = 64
"""Pixels a side from which a network has the form that weights are published for."""


class Normalisation(NamedTuple):
    """What a level of 0 to 255 becomes: (level - mean) / std, a value a channel."""

    mean: list[float]
    std: list[float]


def check(name: str, channels: str, image_size: int) -> None:
    """Raise `UsageError` where a dataset's images are none for published weights of `name`."""
    published(name)
    if channels != "rgb":
        raise UsageError(
            f"the published weights of {name} are for RGB images, not {channels}: set the "
            f"dataset's channels to rgb, or leave `weights` out of the recipe."
        )
    if image_size < SMALLEST:
        raise UsageError(
            f"the published weights of {name} are for images of {SMALLEST} pixels or more, not "
            f"{image_size}: set the dataset's image_size, or leave `weights` out of the recipe."
        )


def normalisation(
    name: str, weights: Weights | None, mean: list[float], std: list[float]
) -> Normalisation:
    """Return that of the published weights where a training starts from them, else the dataset's.

    The first layers know images as they were normalised when these layers learnt.
    """
    if weights is None:
        return Normalisation(mean, std)
    of = published(name)
    return Normalisation(list(of.mean), list(of.std))


def is_frozen(weights: Weights | None, epoch: int, epochs: int) -> bool:
    """Tell whether in `epoch` (from 0) of `epochs` the heads alone learn.

    `weights.frozen` is the share of the epochs, to the nearest whole one.
    """
    return weights is not None and epoch < round(weights.frozen * epochs)


def freeze(network: nn.Module, name: str, frozen: bool) -> None:
    """Let only the heads of the network called `name` learn, or everything.

    To be called at the start of each epoch, when the network is in training mode: frozen batch
    norms are put into evaluation, so that they neither learn nor count; dropout goes on.
    """
    heads = published(name).heads
    for place, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(not frozen)
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(not frozen or place in heads)


def parameter_groups(
    network: nn.Module, name: str, weights: Weights | None, learning_rate: float
) -> list[dict[str, Any]]:
    """Return all parameters as an optimizer's groups, each with its `lr`, the earliest first.

    The rate grows geometrically from `weights.rate` times `learning_rate` in the earliest layers to
    `learning_rate` in the heads, which are the last group. Depth is the order of the layers in the
    network, a layer being a convolution or matrix with what follows it up to the next one; there
    are at most `TIERS` groups of as many layers below the heads. Without `weights`, or with a rate
    of 1, it is one group in the order of `network.parameters()`.
    """
    if weights is None or weights.rate == 1:
        return [{"params": list(network.parameters()), "lr": learning_rate}]
    heads = published(name).heads
    layers: list[list[nn.Parameter]] = []
    top: list[nn.Parameter] = []
    for place, module in network.named_modules():
        own = list(module.parameters(recurse=False))
        if place in heads:
            top += own
        elif own and (own[0].ndim > 1 or not layers):
            layers.append(own)
        elif own:
            layers[-1] += own
    tiers = min(TIERS, len(layers))
    groups: list[list[nn.Parameter]] = [[] for _ in range(tiers)]
    for depth, layer in enumerate(layers):
        groups[depth * tiers // len(layers)] += layer
    return [
        {"params": parameters, "lr": learning_rate * weights.rate ** (1 - depth / tiers)}
        for depth, parameters in enumerate([*groups, top])
    ]
