"""The first weights of a network of rectifiers (He et al., "Delving Deep into Rectifiers", 2015).

https://arxiv.org/abs/1502.01852
"""

from torch import nn


def initialise(network: nn.Module) -> None:
    """Draw weights that keep the signal's variance from layer to layer; biases start at zero.

    The variance is 2 / fan_in for a convolution: fan_in, because torch counts a grouped
    convolution's fan_out over all its groups, and because the forward signal is then kept also
    where the channels double. It is 1 / fan_in for a linear layer, the logits' among them: the
    first logits stay small and the first loss near ln(classes).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(
                module.weight,
                mode="fan_in",
                nonlinearity="relu" if isinstance(module, nn.Conv2d) else "linear",
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
