"""What a network's layers give on the way, by hooks: nothing of an architecture has to know.

A forward pass calls modules, some of them several times and some within others. Calls are numbered
as they end; the same network and the same size of images give the same numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

MOST_DEPTHS = 6
LEAST_SIDE = 4
"""Pixels of a map that still tells where in an image something is."""


@dataclass(frozen=True)
class Layer:
    """One call that gave maps (N, channels, height, width) of more than a pixel."""

    call: int
    name: str
    """Of the module; where it has no weights, that of those before it and what it is."""
    channels: int
    height: int
    width: int
    is_first: bool
    """Whether it is of the first weights: of their size, and before the next ones."""


Change = Callable[[int, str, nn.Module, Any], Any]
"""A call's number, its module's name, the module, and what it gave, to what it gives instead."""


@contextmanager
def calls(network: nn.Module, change: Change) -> Iterator[None]:
    """Have `change` see the end of each call of a module in `network` but of itself."""
    count = 0

    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, given: Any, output: Any) -> Any:
            nonlocal count
            count += 1
            return change(count - 1, name, module, output)

        return hook

    handles = [
        module.register_forward_hook(hook_of(name))
        for name, module in network.named_modules()
        if module is not network
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def layers(network: nn.Module, images: Tensor) -> list[Layer]:
    """Return the calls that give maps, those of the first weights and later, in their order."""
    found: list[Layer] = []
    weighted: list[str] = []  # the modules called so far that have weights of their own

    def note(call: int, name: str, module: nn.Module, output: Any) -> None:
        if is_weighted(module):
            weighted.append(name)
        if not weighted or not _has_maps(output) or isinstance(module, nn.Identity):
            return
        if not any(map(is_weighted, module.modules())):
            name = f"{weighted[-1]} → {type(module).__name__}"
        _, channels, height, width = output.shape
        same = not found or (found[0].height, found[0].width) == (height, width)
        found.append(Layer(call, name, channels, height, width, same and len(weighted) == 1))

    with calls(network, note), torch.no_grad():
        network(images[:1])
    return found


def _has_maps(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1


def is_weighted(module: nn.Module) -> bool:
    """Tell whether a module multiplies by weights of its own, not of modules within it."""
    return any(p.ndim >= 2 for p in module.parameters(recurse=False))


def by_depth(found: list[Layer], most: int = MOST_DEPTHS) -> list[Layer]:
    """Choose layers to show: what the first weights give, then the last of each size of map."""
    chosen = [layer for layer in found if layer.is_first][-1:]
    for _, same in groupby(found, key=lambda layer: (layer.height, layer.width)):
        last = list(same)[-1]
        if last not in chosen:
            chosen.append(last)
    if len(chosen) <= most:
        return chosen
    return [chosen[round(place * (len(chosen) - 1) / (most - 1))] for place in range(most)]


def deepest(found: list[Layer], least: int = LEAST_SIDE) -> Layer | None:
    """Return the last layer whose maps still tell places, else the last of the largest maps."""
    if not found:
        return None
    telling = [layer for layer in found if min(layer.height, layer.width) >= least]
    largest = max(layer.height * layer.width for layer in found)
    return (telling or [layer for layer in found if layer.height * layer.width == largest])[-1]


def outputs(network: nn.Module, images: Tensor, wanted: list[int]) -> dict[int, Tensor]:
    """Return what the calls `wanted` give for images (N, C, H, W), by their numbers."""
    kept: dict[int, Tensor] = {}

    def keep(call: int, name: str, module: nn.Module, output: Any) -> None:
        if call in wanted:
            kept[call] = output.clone()  # an activation may work in place

    with calls(network, keep), torch.no_grad():
        network(images)
    return kept
