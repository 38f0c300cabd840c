"""What a network costs to keep and to ask: parameters, multiply-adds, microseconds.

Source: He et al., "Deep residual learning for image recognition" (2015), table 1, counts as here:
one multiply-add each. Only convolutions and matrix products are counted; biases, normalisation
(batch norm, LRN), activations, pooling and the shortcut's addition are not, as in the papers.
"""

from collections.abc import Callable
from itertools import chain
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Return how many numbers the network learns, shared ones once, frozen ones too."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-adds of the first of `images` (N, C, H, W), in evaluation.

    The image goes to the network's device; on "meta" it costs neither memory nor time. Each module
    leaves in the mode that it came in.
    """
    weight = next(chain(network.parameters(), network.buffers()), images)
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(images[:1].to(weight.device))
    finally:
        for module, training in was_training.items():
            module.training = training
    operations: int = counter.get_total_flops()  # the multiplication and the addition apart
    return operations // 2


def microseconds_per_image(
    predict: Callable[[Tensor], Tensor], images: Tensor, repeats: int = 5
) -> float:
    """Return the median time over `repeats` of predicting `images` (N, ...), divided by N.

    One call before them is not counted: it pays for memory, caches and the choice of kernels.
    `ValueError` for no images or no repeats.
    """
    if not len(images) or repeats < 1:
        raise ValueError(f"{len(images)} images {repeats} times cannot be timed")
    _finish(predict(images))
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        _finish(predict(images))
        seconds.append(perf_counter() - start)
    return median(seconds) / len(images) * 1e6


def _finish(answers: Tensor) -> None:
    # An accelerator answers before it has computed; the CPU does not.
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None and answers.device.type == accelerator.type:
        torch.accelerator.synchronize(answers.device)
