"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012), figure 2: one network in two groups.

"ImageNet classification with deep convolutional neural networks", NeurIPS 2012,
https://papers.nips.cc/paper/4824

Input 3 x 227 x 227 or 3 x 224 x 224; 60,965,224 parameters for 1000 classes.

Departures:
- The paper says 224 pixels, which do not give its 55 x 55 maps: 227 do without padding, 224 do with
  2 pixels of it. Where the stride of 4 fits an image exactly there is no padding, elsewhere 2.
- Images of other sizes are averaged to the 6 x 6 map that the head expects.
- He initialisation with biases of zero, in place of deviations of 0.01 with some biases of one.
- Below 64 pixels the small-image form: the same five convolutions, groups and normalisations, with
  a 5 x 5 stem of stride 2, no pooling after the last convolution (a 3 x 3 map) and a head of 512
  units. It has no dropout: it is meant for sets small enough to be over in a few epochs.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures.architecture import Architecture
from convoy.architectures.initialisation import initialise


class ResponseNorm(nn.Module):
    """Section 3.3: each map by the sum of squares of the n = 5 maps around it.

    Not `nn.LocalResponseNorm`: that one takes the mean of the squares where the paper takes their
    sum, and on a processor it needs three times as long.
    """

    def forward(self, maps: Tensor) -> Tensor:
        # float: in half precision the square of a map overflows at 256
        squares = F.pad(maps.float().square(), (0, 0, 0, 0, 2, 2))
        pairs = squares[:, :-1] + squares[:, 1:]
        five = pairs[:, :-3] + pairs[:, 2:-1] + squares[:, 4:]
        root = (2 + 1e-4 * five).rsqrt()  # k = 2, alpha = 1e-4
        return maps * (root * root.sqrt()).type_as(maps)  # beta = 0.75


def pool() -> nn.Module:
    """Section 3.4: windows of 3 every 2 pixels overlap."""
    return nn.MaxPool2d(3, stride=2)


class AlexNet(nn.Module):
    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        small = image_size < 64
        if small:
            stem = nn.Conv2d(in_channels, 96, kernel_size=5, stride=2, padding=2)
        else:
            padding = 0 if (image_size - 11) % 4 == 0 else 2
            stem = nn.Conv2d(in_channels, 96, kernel_size=11, stride=4, padding=padding)
        side, width, dropout = (3, 512, 0.0) if small else (6, 4096, 0.5)

        # maps at 227 or 224 pixels, and at 32
        self.features = nn.Sequential(
            *(stem, nn.ReLU(inplace=True), ResponseNorm()),  # 96 x 55 x 55, 16 x 16
            pool(),  # 96 x 27 x 27, 7 x 7
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(inplace=True), ResponseNorm()),
            pool(),  # 256 x 13 x 13, 3 x 3
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(inplace=True)),
            nn.Identity() if small else pool(),  # 256 x 6 x 6, 3 x 3
            nn.AdaptiveAvgPool2d(side),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(256 * side**2, width), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(width, num_classes),
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


VARIANTS = {
    "alexnet": Architecture(
        AlexNet,
        paper="Krizhevsky et al., ImageNet classification with deep convolutional neural networks",
        year=2012,
        smallest=13,  # leaves one pixel after the second pooling
    ),
}
