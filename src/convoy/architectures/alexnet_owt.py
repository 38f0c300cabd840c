"""AlexNet in one column (Krizhevsky, 2014), as the published PyTorch weights have it.

"One weird trick for parallelizing convolutional neural networks", https://arxiv.org/abs/1404.5997

Input 3 x 224 x 224; 61,100,840 parameters for 1000 classes. The names and shapes in the state_dict
are those of the weights that torchvision publishes. Fewer filters than in 2012, no groups and no
response normalisation.

Departures:
- The paper has no table of its layers: the filters (64, 192, 384, 256 and 256), and the dropout in
  front of the two hidden layers, are those of the published weights.
- Images of other sizes are averaged to the 6 x 6 map that the head expects.
- He initialisation.
- Below 64 pixels the small-image form of `alexnet`: a 5 x 5 stem of stride 2, no pooling after the
  last convolution (a 3 x 3 map), and a head of 512 units without dropout.
"""

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import Architecture, Weights, published_accuracy
from convoy.architectures.initialisation import initialise
from convoy.architectures.layers import convolution
from convoy.architectures.options import Activation, Pool, Share, Width


class AlexNetOWT(nn.Module):
    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        pool: Pool = "max",
        activation: Activation = "relu",
        batch_norm: bool = False,
        dropout: Share | None = None,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        small = image_size < 64
        act, batch = activation, batch_norm
        c1, c2, c3, c4, c5 = (layers.scaled(c, width) for c in (64, 192, 384, 256, 256))
        kernel, stride = (5, 2) if small else (11, 4)
        side, units = (3, 512) if small else (6, 4096)
        units = layers.scaled(units, width)
        share = dropout if dropout is not None else 0.0 if small else 0.5
        # maps at 224 pixels, and at 32
        self.features = nn.Sequential(
            *convolution(in_channels, c1, kernel, act, batch, stride=stride, padding=2),
            layers.pool(pool, 3, stride=2),  # 64 x 27 x 27, 7 x 7
            *convolution(c1, c2, 5, act, batch, padding=2),
            layers.pool(pool, 3, stride=2),  # 192 x 13 x 13, 3 x 3
            *convolution(c2, c3, 3, act, batch, padding=1),
            *convolution(c3, c4, 3, act, batch, padding=1),
            *convolution(c4, c5, 3, act, batch, padding=1),
            nn.Identity() if small else layers.pool(pool, 3, stride=2),  # 256 x 6 x 6, 3 x 3
        )
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier = nn.Sequential(
            *(nn.Dropout(share), nn.Linear(c5 * side**2, units), layers.activation(act)),
            *(nn.Dropout(share), nn.Linear(units, units), layers.activation(act)),
            nn.Linear(units, num_classes),
        )
        initialise(self, act)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.avgpool(self.features(images))  # N x 256 x 6 x 6, 3 x 3
        logits: Tensor = self.classifier(maps.flatten(1))
        return logits


VARIANTS = {
    "alexnet_owt": Architecture(
        AlexNetOWT,
        paper="Krizhevsky, One weird trick for parallelizing convolutional neural networks",
        year=2014,
        smallest=13,  # leaves one pixel after the second pooling
        accuracy=published_accuracy(56.522, 79.066),
        weights=Weights(heads=("classifier.6",)),
    ),
}
