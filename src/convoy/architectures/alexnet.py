"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012), figure 2: one network in two groups.

"ImageNet classification with deep convolutional neural networks", NeurIPS 2012,
https://papers.nips.cc/paper/4824

Input 3 x 227 x 227 or 3 x 224 x 224; 60,965,224 parameters for 1000 classes (62,378,344 without
groups, which the paper has only because one GPU was too small).

Departures:
- The paper says 224 pixels, which do not give its 55 x 55 maps: 227 do without padding, 224 do with
  2 pixels of it. Where the stride of 4 fits an image exactly there is no padding, elsewhere 2.
- Images of other sizes are averaged to the 6 x 6 map that the head expects.
- He initialisation with biases of zero, in place of deviations of 0.01 with some biases of one.
- Below 64 pixels the small-image form: the same five convolutions, groups and normalisations, with
  a 5 x 5 stem of stride 2, no pooling after the last convolution (a 3 x 3 map) and a head of 512
  units. It has no dropout: it is meant for sets small enough to be over in a few epochs.
"""

from typing import Literal

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import IMAGENET, Accuracy, Architecture
from convoy.architectures.initialisation import initialise
from convoy.architectures.layers import convolution
from convoy.architectures.options import Activation, Norm, Pool, Share, Width


class AlexNet(nn.Module):
    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        pool: Pool = "max",
        activation: Activation = "relu",
        norm: Norm = "response",
        dropout: Share | None = None,
        groups: Literal[1, 2] = 2,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        small = image_size < 64
        act, batch = activation, norm == "batch"
        c1, c2, c3, c4, c5 = (layers.scaled(c, width, groups) for c in (96, 256, 384, 384, 256))
        if small:
            stem = convolution(in_channels, c1, 5, act, batch, stride=2, padding=2)
        else:
            padding = 0 if (image_size - 11) % 4 == 0 else 2
            stem = convolution(in_channels, c1, 11, act, batch, stride=4, padding=padding)

        def overlapping() -> nn.Module:
            """Section 3.4: windows of 3 every 2 pixels overlap."""
            return layers.pool(pool, 3, stride=2)

        side, units = (3, 512) if small else (6, 4096)
        # maps at 227 or 224 pixels, and at 32
        self.features = nn.Sequential(
            *(*stem, layers.response_norm(norm)),  # 96 x 55 x 55, 16 x 16
            overlapping(),  # 96 x 27 x 27, 7 x 7
            *convolution(c1, c2, 5, act, batch, padding=2, groups=groups),
            layers.response_norm(norm),  # 256 x 27 x 27, 7 x 7
            overlapping(),  # 256 x 13 x 13, 3 x 3
            *convolution(c2, c3, 3, act, batch, padding=1),
            *convolution(c3, c4, 3, act, batch, padding=1, groups=groups),
            *convolution(c4, c5, 3, act, batch, padding=1, groups=groups),
            nn.Identity() if small else overlapping(),  # 256 x 6 x 6, 3 x 3
            nn.AdaptiveAvgPool2d(side),
        )
        units = layers.scaled(units, width)
        share = dropout if dropout is not None else 0.0 if small else 0.5
        self.classifier = nn.Sequential(
            *(nn.Linear(c5 * side**2, units), layers.activation(act), nn.Dropout(share)),
            *(nn.Linear(units, units), layers.activation(act), nn.Dropout(share)),
            nn.Linear(units, num_classes),
        )
        initialise(self, act)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


VARIANTS = {
    "alexnet": Architecture(
        AlexNet,
        paper="Krizhevsky et al., ImageNet classification with deep convolutional neural networks",
        year=2012,
        smallest=13,  # leaves one pixel after the second pooling
        task=IMAGENET._replace(side=227),
        accuracy=Accuracy("ImageNet", "the paper, table 2, one network", top1=59.3, top5=81.8),
    ),
}
