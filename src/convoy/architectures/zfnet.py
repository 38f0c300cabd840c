"""ZFNet (Zeiler and Fergus, 2013), figure 3.

"Visualizing and understanding convolutional networks", https://arxiv.org/abs/1311.2901

Input 3 x 224 x 224; 62,357,608 parameters for 1000 classes. AlexNet without groups, and with a
smaller filter and stride in the first convolution, so that fewer filters are dead or aliased.

Departures:
- The figure gives the maps' sizes (110, 55, 26, 13, 6) but no padding: this one gives those sizes.
- "Contrast normalised across feature maps" is AlexNet's local response normalisation.
- The paper's renormalising of filters whose root mean square exceeds 0.1 is left out.
- Images of other sizes are averaged to the 6 x 6 map that the head expects.
- He initialisation in place of deviations of 0.01.
- Below 64 pixels the small-image form: the same five convolutions and normalisations, with a 3 x 3
  first filter, no pooling after the second and the last convolution (a 3 x 3 map), and a head of
  512 units. It has no dropout: it is meant for sets small enough to be over in a few epochs.
"""

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import Accuracy, Architecture
from convoy.architectures.initialisation import initialise
from convoy.architectures.layers import convolution
from convoy.architectures.options import Activation, Norm, Pool, Share, Width


class ZFNet(nn.Module):
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
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        small = image_size < 64
        act, batch = activation, norm == "batch"
        c1, c2, c3, c4, c5 = (layers.scaled(c, width) for c in (96, 256, 384, 384, 256))
        first, padding = (3, 1) if small else (7, 0)

        def padded() -> nn.Module:
            return layers.pool(pool, 3, stride=2, padding=1)

        # maps at 224 pixels, and at 32
        self.features = nn.Sequential(
            *convolution(in_channels, c1, first, act, batch, stride=2, padding=1),  # 110, 16
            *(padded(), layers.response_norm(norm)),  # 96 x 55 x 55, 8 x 8
            *convolution(c1, c2, 5, act, batch, stride=2, padding=padding),  # 26, 3
            nn.Identity() if small else padded(),
            layers.response_norm(norm),  # 256 x 13 x 13, 3 x 3
            *convolution(c2, c3, 3, act, batch, padding=1),
            *convolution(c3, c4, 3, act, batch, padding=1),
            *convolution(c4, c5, 3, act, batch, padding=1),
            nn.Identity() if small else layers.pool(pool, 3, stride=2),  # 256 x 6 x 6, 3 x 3
            nn.AdaptiveAvgPool2d(3 if small else 6),
        )
        side, units = (3, 512) if small else (6, 4096)
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
    "zfnet": Architecture(
        ZFNet,
        paper="Zeiler and Fergus, Visualizing and understanding convolutional networks",
        year=2013,
        smallest=9,  # leaves one pixel after the second convolution
        accuracy=Accuracy("ImageNet", "the paper, table 2, one network", top1=61.6, top5=83.5),
    ),
}
