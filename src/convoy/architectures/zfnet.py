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

from convoy.architectures.alexnet import ResponseNorm
from convoy.architectures.architecture import Architecture
from convoy.architectures.initialisation import initialise


class ZFNet(nn.Module):
    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        small = image_size < 64
        first, padding = (3, 1) if small else (7, 0)
        side, width, dropout = (3, 512, 0.0) if small else (6, 4096, 0.5)

        # maps at 224 pixels, and at 32
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, 96, first, stride=2, padding=1), nn.ReLU(inplace=True)),
            *(nn.MaxPool2d(3, stride=2, padding=1), ResponseNorm()),  # 96 x 55 x 55, 8 x 8
            *(nn.Conv2d(96, 256, 5, stride=2, padding=padding), nn.ReLU(inplace=True)),
            nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1),
            ResponseNorm(),  # 256 x 13 x 13, 3 x 3
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
            nn.Identity() if small else nn.MaxPool2d(3, stride=2),  # 256 x 6 x 6, 3 x 3
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
    "zfnet": Architecture(
        ZFNet,
        paper="Zeiler and Fergus, Visualizing and understanding convolutional networks",
        year=2013,
        smallest=9,  # leaves one pixel after the second convolution
    ),
}
