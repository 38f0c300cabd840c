"""The first weights of a network of rectifiers (He et al., "Delving Deep into Rectifiers", 2015).

https://arxiv.org/abs/1502.01852
"""

from typing import Literal

from torch import nn

from convoy.architectures.options import Activation


def initialise(network: nn.Module, activation: Activation = "relu") -> None:
    """Draw weights that keep the signal's variance from layer to layer; biases start at zero.

    The variance is gain^2 / fan_in for a convolution, gain^2 being 2 for a rectifier: fan_in,
    because torch counts a grouped convolution's fan_out over all its groups, and because the
    forward signal is then kept also where the channels double. It is 1 / fan_in for a linear layer,
    the logits' among them: the first logits stay small and the first loss near ln(classes).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nonlinearity = rule(activation if isinstance(module, nn.Conv2d) else None)
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def rule(activation: Activation | None) -> Literal["linear", "tanh", "sigmoid", "relu"]:
    """Return torch's name of the gain of an activation: all rectifiers count as the plain one."""
    match activation:
        case None:
            return "linear"
        case "tanh" | "sigmoid":
            return activation
    return "relu"
