"""The weights that meet an image first, as images themselves."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convoy.evaluation.tracing import calls, is_weighted


@dataclass(frozen=True)
class Filters:
    """The first layer's weights."""

    name: str
    """Of the module."""
    weights: Tensor
    """(filters, channels, height, width), the one with the largest norm first."""
    of_the_whole_image: bool
    """Whether each weighs the whole image, as in a perceptron, and not one place after another."""


def first_filters(network: nn.Module, images: Tensor) -> Filters | None:
    """Return the weights that normalised images (N, C, H, W) meet first.

    A linear layer's have the form of the image; None where they do not fit it.
    """
    first: list[tuple[str, nn.Module]] = []

    def note(call: int, name: str, module: nn.Module, output: Any) -> None:
        if is_weighted(module):
            first.append((name, module))

    with calls(network, note), torch.no_grad():
        network(images[:1])
    if not first:
        return None
    name, module = first[0]
    weights = next(p for p in module.parameters(recurse=False) if p.ndim >= 2).detach()
    whole = weights.ndim == 2
    if whole and weights.shape[1] == images[0].numel():
        weights = weights.view(-1, *images.shape[1:])
    if weights.ndim != 4:
        return None
    strongest = weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)
    return Filters(name, weights[strongest], whole)
