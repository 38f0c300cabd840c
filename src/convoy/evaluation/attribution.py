"""Where in an image a network saw a class.

Sources: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
localization" (2017), equations 1 and 2; Simonyan, Vedaldi and Zisserman, "Deep inside convolutional
networks" (2013), section 3, for a network that has no maps.

Departure: the paper takes the last convolution, whose maps have 14 pixels a side in its network.
Ours end at 1 to 7 pixels, so the last maps of at least 4 pixels are taken, after pooling if that is
where they come from.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convoy.evaluation.tracing import Layer, calls


def grad_cam(network: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """Return where classes (N,) are seen in normalised images (N, C, H, W): (N, H, W), 0 to 1.

    Each image's largest value is 1; all are 0 where nothing speaks for the class.
    """
    maps: list[Tensor] = []

    def take(call: int, name: str, module: nn.Module, output: Any) -> Any:
        if call != layer.call:
            return None
        maps.append(output.detach().requires_grad_())
        return maps[0].clone()  # what follows may work in place

    with torch.enable_grad(), calls(network, take):
        logits: Tensor = network(images)
        scores = logits.gather(1, classes[:, None]).sum()
    (gradients,) = torch.autograd.grad(scores, maps)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # equation 1
    found = (weights * maps[0].detach()).sum(dim=1, keepdim=True).relu()  # equation 2
    found = F.interpolate(found, size=images.shape[2:], mode="bilinear", align_corners=False)
    return _scaled(found.squeeze(1))


def input_gradients(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Return how much each pixel moves the logit of its class (N,): (N, H, W), 0 to 1."""
    given = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits: Tensor = network(given)
        scores = logits.gather(1, classes[:, None]).sum()
    (gradients,) = torch.autograd.grad(scores, [given])
    return _scaled(gradients.abs().amax(dim=1))


def _scaled(found: Tensor) -> Tensor:
    largest = found.amax(dim=(1, 2), keepdim=True)
    return found / largest.clamp(min=torch.finfo(found.dtype).tiny)
