"""GoogLeNet (Szegedy et al., 2014), table 1 and figure 3.

"Going deeper with convolutions", https://arxiv.org/abs/1409.4842

Input 3 x 224 x 224; 7,005,832 parameters for 1000 classes, and 6,379,984 more in the two auxiliary
heads, which exist for training alone: in training the network gives `Outputs`, else its logits.

Departures:
- Batch normalisation after each convolution, which then needs no bias (Ioffe and Szegedy, 2015); it
  replaces the two local response normalisations.
- The pooling branch's 5 x 5 really is 5 x 5, as in the paper and unlike the published PyTorch
  weights, whose network has 3 x 3 there.
- The auxiliary heads average 5 x 5 windows every 3 pixels at 224 pixels, where that gives the
  paper's 4 x 4 map; images of other sizes are averaged to 4 x 4.
- He initialisation.
- Below 64 pixels the small-image form: the same inceptions, but the 7 x 7 stem has no padding, the
  pooling before inception 3a is left out, the one before 5a is 2 x 2 (maps of 13, 6, 3 and 2 at 32
  pixels), and the auxiliary heads average to 2 x 2.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convoy.architectures.architecture import Architecture, Criterion
from convoy.architectures.initialisation import initialise


class Outputs(NamedTuple):
    """What the network gives in training: each (N, classes)."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor


class Row(NamedTuple):
    """A row of table 1: the channels of each convolution in an inception."""

    in_channels: int
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


INCEPTIONS = {
    "3a": Row(192, 64, 96, 128, 16, 32, 32),
    "3b": Row(256, 128, 128, 192, 32, 96, 64),
    "4a": Row(480, 192, 96, 208, 16, 48, 64),
    "4b": Row(512, 160, 112, 224, 24, 64, 64),
    "4c": Row(512, 128, 128, 256, 24, 64, 64),
    "4d": Row(512, 112, 144, 288, 32, 64, 64),
    "4e": Row(528, 256, 160, 320, 32, 128, 128),
    "5a": Row(832, 256, 160, 320, 32, 128, 128),
    "5b": Row(832, 384, 192, 384, 48, 128, 128),
}


class Convolution(nn.Sequential):
    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(
            # no bias: the batch norm that follows has its own
            nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class Inception(nn.Module):
    """Figure 2b: four views of the same maps, side by side in the channels."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.one = Convolution(row.in_channels, row.one, 1)
        self.three = nn.Sequential(
            Convolution(row.in_channels, row.three_reduce, 1),
            Convolution(row.three_reduce, row.three, 3, padding=1),
        )
        self.five = nn.Sequential(
            Convolution(row.in_channels, row.five_reduce, 1),
            Convolution(row.five_reduce, row.five, 5, padding=2),
        )
        self.pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            Convolution(row.in_channels, row.pool, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.one(maps), self.three(maps), self.five(maps), self.pool(maps)], 1)


def inceptions(*rows: str) -> nn.Sequential:
    return nn.Sequential(*(Inception(INCEPTIONS[row]) for row in rows))


def auxiliary(in_channels: int, num_classes: int, image_size: int) -> nn.Sequential:
    """A classifier on maps half way up, so that the gradient reaches the layers below it."""
    side = 2 if image_size < 64 else 4
    return nn.Sequential(
        nn.AvgPool2d(5, stride=3) if image_size == 224 else nn.AdaptiveAvgPool2d(side),
        *(Convolution(in_channels, 128, 1), nn.Flatten()),
        *(nn.Linear(128 * side**2, 1024), nn.ReLU(inplace=True), nn.Dropout(0.7)),
        nn.Linear(1024, num_classes),
    )


class GoogLeNet(nn.Module):
    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        small = image_size < 64

        # ceil_mode: 112, 56, 28, 14 and 7 come out only so
        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.stem = nn.Sequential(
            Convolution(in_channels, 64, 7, stride=2, padding=0 if small else 3),
            pool(),
            Convolution(64, 64, 1),
            Convolution(64, 192, 3, padding=1),
            nn.Identity() if small else pool(),
        )
        self.inception3 = inceptions("3a", "3b")
        self.pool3 = pool()
        self.inception4a = inceptions("4a")
        self.inception4bcd = inceptions("4b", "4c", "4d")
        self.inception4e = inceptions("4e")
        self.pool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True) if small else pool()
        self.inception5 = inceptions("5a", "5b")
        self.classifier = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4)),
            nn.Linear(1024, num_classes),
        )
        self.aux1 = auxiliary(512, num_classes, image_size)
        self.aux2 = auxiliary(528, num_classes, image_size)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | Outputs:
        maps = self.stem(images)  # N x 192 x 28 x 28, at 32 pixels 6 x 6
        maps = self.pool3(self.inception3(maps))  # N x 480 x 14 x 14, 3 x 3
        maps4a = self.inception4a(maps)  # N x 512 x 14 x 14, 3 x 3
        maps4d = self.inception4bcd(maps4a)  # N x 528 x 14 x 14, 3 x 3
        maps = self.pool4(self.inception4e(maps4d))  # N x 832 x 7 x 7, 2 x 2
        maps = self.inception5(maps)  # N x 1024 x 7 x 7, 2 x 2
        logits: Tensor = self.classifier(maps)
        if self.training:
            return Outputs(logits, self.aux1(maps4a), self.aux2(maps4d))
        return logits


def loss(outputs: Any, labels: Tensor, criterion: Criterion) -> Tensor:
    """Section 5: the auxiliary losses count with a weight of 0.3, in training only."""
    if not isinstance(outputs, Outputs):
        return criterion(outputs, labels)
    auxiliary = criterion(outputs.aux1, labels) + criterion(outputs.aux2, labels)
    return criterion(outputs.logits, labels) + 0.3 * auxiliary


VARIANTS = {
    "googlenet": Architecture(
        GoogLeNet,
        paper="Szegedy et al., Going deeper with convolutions",
        year=2014,
        smallest=13,  # leaves one pixel for inception 4a
        loss=loss,
    ),
}
