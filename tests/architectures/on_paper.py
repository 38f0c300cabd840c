"""Networks of shapes alone: on the meta device they need no memory and no arithmetic."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from convoy.architectures import build

Shape = tuple[int, ...]

KINDS = (
    *("mlp", "lenet5", "alexnet", "alexnet_owt", "zfnet", "vgg11", "vgg11_bn"),
    *("googlenet", "googlenet_3x3", "resnet18", "resnet50", "resnet20"),
)
"""One network of each kind; the others are the same, only deeper."""


def network(
    name: str, num_classes: int, in_channels: int, image_size: int, **options: Any
) -> nn.Module:
    """A network in evaluation."""
    with torch.device("meta"):
        return build(
            name,
            num_classes=num_classes,
            in_channels=in_channels,
            image_size=image_size,
            options=options,
        ).eval()


def images(in_channels: int, image_size: int, count: int = 1) -> Tensor:
    return torch.empty(count, in_channels, image_size, image_size, device="meta")


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def shapes(module: nn.Module, batch: Tensor) -> dict[str, Shape]:
    """What each module gives for an image, by its name, in the order of the flow."""
    found: dict[str, Shape] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = tuple(output.shape[1:])

        return hook

    for name, part in module.named_modules():
        part.register_forward_hook(note(name))
    module(batch)
    return found


def maps(module: nn.Module, batch: Tensor) -> list[tuple[int, int]]:
    """Channels and side of the maps down to the head, each once."""
    found = shapes(module, batch)
    inner = [name for name in found if not list(module.get_submodule(name).children())]
    flow = [found[name][:2] for name in inner if len(found[name]) == 3]
    return [(c, s) for i, (c, s) in enumerate(flow) if i == 0 or flow[i - 1] != (c, s)]
