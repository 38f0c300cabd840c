"""What a network costs to keep and to train, by counting: parameters, multiply-adds, memory.

Source: He et al., "Deep residual learning for image recognition" (2015), table 1, counts as here:
one multiply-add each. Only convolutions and matrix products are counted; biases, normalisation
(batch norm, LRN), activations, pooling and the shortcut's addition are not, as in the papers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from convoy.architectures import build, describe


def parameters(network: nn.Module) -> int:
    """Return how many numbers the network learns, shared ones once, frozen ones too."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-adds of the first of `images` (N, C, H, W), in evaluation.

    The image goes to the network's device; on "meta" it costs neither memory nor time. Each module
    leaves in the mode that it came in.
    """
    counter = FlopCounterMode(display=False)
    with _mode(network, training=False), torch.no_grad(), counter:
        network(images[:1].to(_device(network, images)))
    operations: int = counter.get_total_flops()  # the multiplication and the addition apart
    return operations // 2


def activation_bytes(network: nn.Module, images: Tensor) -> int:
    """Return the bytes that a training step keeps for each image until its gradient is there.

    They are what the forward pass in training saves for the backward pass, a storage once, beside
    the parameters: `images` (N, C, H, W), two or more, divided by N. What cuDNN or a compiler needs
    besides is theirs. The network's running statistics see the images.
    """
    own = {t.untyped_storage()._cdata for t in chain(network.parameters(), network.buffers())}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held until the end: a storage that is free could come back as another one.
        saved.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with _mode(network, training=True), saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(images.to(_device(network, images)))
    kept = [t.untyped_storage().nbytes() for key, t in saved.items() if key not in own]
    del outputs
    return sum(kept) // len(images)


@dataclass(frozen=True)
class Cost:
    """What a network of its paper's task costs."""

    parameters: int
    training_only: int
    """Of these, the parameters that an evaluation does not use."""
    multiply_adds: int
    activation_bytes: int


def cost_on_paper(name: str) -> Cost:
    """Count a network at the input of its paper, by its shapes alone: no memory, no arithmetic."""
    task = describe(name).task
    with torch.device("meta"):
        network = build(
            name,
            num_classes=task.classes,
            in_channels=task.channels,
            image_size=task.side,
        )
        images = torch.empty(2, task.channels, task.side, task.side)
    used: set[nn.Module] = set()
    hooks = [
        part.register_forward_hook(lambda part, *_: used.add(part)) for part in network.modules()
    ]
    operations = multiply_adds(network, images)
    for hook in hooks:
        hook.remove()
    unused = (module for module in network.modules() if module not in used)
    return Cost(
        parameters=parameters(network),
        training_only=sum(p.numel() for m in unused for p in m.parameters(recurse=False)),
        multiply_adds=operations,
        activation_bytes=activation_bytes(network, images),
    )


@contextmanager
def _mode(network: nn.Module, training: bool) -> Iterator[None]:
    """Put a network in one mode; afterwards each module is in the mode that it came in."""
    before = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, was in before.items():
            module.training = was


def _device(network: nn.Module, images: Tensor) -> torch.device:
    return next(chain(network.parameters(), network.buffers()), images).device
