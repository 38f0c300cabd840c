"""GoogLeNet (Szegedy et al., 2014), table 1 and figure 3.

"Going deeper with convolutions", https://arxiv.org/abs/1409.4842

Input 3 x 224 x 224; 7,005,832 parameters for 1000 classes, and 6,379,984 more in the two auxiliary
heads, which exist for training alone: in training the network gives `Outputs`, else its logits.

`googlenet_3x3` is the network of the weights that torchvision publishes, with their names and
shapes in its state_dict: 6,624,904 parameters and 6,379,984 more. It has 3 x 3 where the paper has
5 x 5, an eps of 0.001 in batch norm, a fourth pooling of 2 x 2, auxiliary heads that always average
to 4 x 4, and 0.2 of dropout in place of 0.4.

Departures:
- Batch normalisation after each convolution, which then needs no bias (Ioffe and Szegedy, 2015); it
  replaces the two local response normalisations. The option `norm: response` is the paper's.
- The auxiliary heads average 5 x 5 windows every 3 pixels at 224 pixels, where that gives the
  paper's 4 x 4 map; images of other sizes are averaged to 4 x 4.
- He initialisation.
- Below 64 pixels the small-image form: the same inceptions, but the 7 x 7 stem has no padding, the
  pooling before inception 3a is left out, the one before 5a is 2 x 2 (maps of 13, 6, 3 and 2 at 32
  pixels), and the auxiliary heads average to 2 x 2.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import (
    Accuracy,
    Architecture,
    Criterion,
    Weights,
    published_accuracy,
)
from convoy.architectures.initialisation import initialise
from convoy.architectures.options import Activation, Norm, Pool, Share, Width


class Outputs(NamedTuple):
    """What the network gives in training: each (N, classes)."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor


class Row(NamedTuple):
    """A row of table 1: the channels of each convolution in an inception."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


INCEPTIONS = {
    "3a": Row(64, 96, 128, 16, 32, 32),
    "3b": Row(128, 128, 192, 32, 96, 64),
    "4a": Row(192, 96, 208, 16, 48, 64),
    "4b": Row(160, 112, 224, 24, 64, 64),
    "4c": Row(128, 128, 256, 24, 64, 64),
    "4d": Row(112, 144, 288, 32, 64, 64),
    "4e": Row(256, 160, 320, 32, 128, 128),
    "5a": Row(256, 160, 320, 32, 128, 128),
    "5b": Row(384, 192, 384, 48, 128, 128),
}


class Form(NamedTuple):
    """What all convolutions of one network share."""

    five: int
    """The kernel of the widest branch."""
    pool: Pool
    activation: Activation
    norm: Norm
    eps: float
    width: float


class Convolution(nn.Module):
    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        form: Form,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        batch = form.norm == "batch"
        # no bias under batch norm, which has its own
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=not batch)
        self.bn = layers.batch_norm(batch, channels, form.eps)
        self.act = layers.activation(form.activation)

    def forward(self, maps: Tensor) -> Tensor:
        activated: Tensor = self.act(self.bn(self.conv(maps)))
        return activated


class Inception(nn.Module):
    """Figure 2b: four views of the same maps, side by side in the channels."""

    def __init__(self, in_channels: int, row: Row, form: Form) -> None:
        super().__init__()
        row = Row(*(layers.scaled(channels, form.width) for channels in row))
        self.branch1 = Convolution(in_channels, row.one, 1, form)
        self.branch2 = nn.Sequential(
            Convolution(in_channels, row.three_reduce, 1, form),
            Convolution(row.three_reduce, row.three, 3, form, padding=1),
        )
        self.branch3 = nn.Sequential(
            Convolution(in_channels, row.five_reduce, 1, form),
            Convolution(row.five_reduce, row.five, form.five, form, padding=form.five // 2),
        )
        self.branch4 = nn.Sequential(
            layers.pool(form.pool, 3, stride=1, padding=1),
            Convolution(in_channels, row.pool, 1, form),
        )
        self.channels = row.one + row.three + row.five + row.pool

    def forward(self, maps: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(maps) for branch in branches], 1)


class Auxiliary(nn.Module):
    """A classifier on maps half way up, so that the gradient reaches the layers below it."""

    def __init__(
        self, in_channels: int, num_classes: int, side: int, pool: nn.Module, form: Form
    ) -> None:
        super().__init__()
        channels, units = layers.scaled(128, form.width), layers.scaled(1024, form.width)
        self.pool = pool
        self.conv = Convolution(in_channels, channels, 1, form)
        self.fc1 = nn.Linear(channels * side**2, units)
        self.act = layers.activation(form.activation)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(units, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        features = self.conv(self.pool(maps)).flatten(1)  # N x 2048, small: N x 512
        logits: Tensor = self.fc2(self.dropout(self.act(self.fc1(features))))
        return logits


class GoogLeNet(nn.Module):
    def __init__(
        self,
        published: bool = False,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        pool: Pool = "max",
        activation: Activation = "relu",
        norm: Norm = "batch",
        auxiliary: bool = True,
        dropout: Share | None = None,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        small = image_size < 64
        five, eps, share = (3, 1e-3, 0.2) if published else (5, 1e-5, 0.4)
        form = Form(five, pool, activation, norm, eps, width)
        first, channels = layers.scaled(64, width), layers.scaled(192, width)

        # ceil_mode: 112, 56, 28, 14 and 7 come out only so
        def halved(size: int = 3) -> nn.Module:
            return layers.pool(pool, size, stride=2, ceil_mode=True)

        def inception(row: str) -> Inception:
            nonlocal channels
            module = Inception(channels, INCEPTIONS[row], form)
            channels = module.channels
            return module

        self.conv1 = Convolution(in_channels, first, 7, form, stride=2, padding=0 if small else 3)
        self.pool1, self.norm1 = halved(), layers.response_norm(norm)
        self.conv2 = Convolution(first, first, 1, form)
        self.conv3 = Convolution(first, channels, 3, form, padding=1)
        self.norm2 = layers.response_norm(norm)
        self.pool2 = nn.Identity() if small else halved()
        self.inception3a, self.inception3b = inception("3a"), inception("3b")
        self.pool3 = halved()
        self.inception4a, self.inception4b = inception("4a"), inception("4b")
        self.inception4c, self.inception4d = inception("4c"), inception("4d")
        self.inception4e = inception("4e")
        self.pool4 = halved(2) if small or published else halved()
        self.inception5a, self.inception5b = inception("5a"), inception("5b")
        self.dropout = nn.Dropout(share if dropout is None else dropout)
        self.fc = nn.Linear(channels, num_classes)
        self.auxiliary = auxiliary
        if auxiliary:
            side = 2 if small else 4
            windows = image_size == 224 and not published
            average = nn.AvgPool2d(5, stride=3) if windows else nn.AdaptiveAvgPool2d(side)
            maps4a, maps4d = self.inception4a.channels, self.inception4d.channels
            self.aux1 = Auxiliary(maps4a, num_classes, side, average, form)
            self.aux2 = Auxiliary(maps4d, num_classes, side, average, form)
        initialise(self, activation)

    def forward(self, images: Tensor) -> Tensor | Outputs:
        maps = self.norm1(self.pool1(self.conv1(images)))  # N x 64 x 56 x 56, at 32 pixels 6 x 6
        maps = self.norm2(self.conv3(self.conv2(maps)))  # N x 192 x 56 x 56, 6 x 6
        maps = self.inception3a(self.pool2(maps))  # N x 256 x 28 x 28, 6 x 6
        maps = self.inception3b(maps)  # N x 480 x 28 x 28, 6 x 6
        maps4a = self.inception4a(self.pool3(maps))  # N x 512 x 14 x 14, 3 x 3
        maps = self.inception4c(self.inception4b(maps4a))  # N x 512 x 14 x 14, 3 x 3
        maps4d = self.inception4d(maps)  # N x 528 x 14 x 14, 3 x 3
        maps = self.inception4e(maps4d)  # N x 832 x 14 x 14, 3 x 3
        maps = self.inception5a(self.pool4(maps))  # N x 832 x 7 x 7, 2 x 2
        maps = self.inception5b(maps)  # N x 1024 x 7 x 7, 2 x 2
        logits: Tensor = self.fc(self.dropout(maps.mean((2, 3))))
        if self.training and self.auxiliary:
            return Outputs(logits, self.aux1(maps4a), self.aux2(maps4d))
        return logits


def loss(outputs: Any, labels: Tensor, criterion: Criterion) -> Tensor:
    """Section 5: the auxiliary losses count with a weight of 0.3, in training only."""
    if not isinstance(outputs, Outputs):
        return criterion(outputs, labels)
    auxiliary = criterion(outputs.aux1, labels) + criterion(outputs.aux2, labels)
    return criterion(outputs.logits, labels) + 0.3 * auxiliary


going_deeper = partial(
    Architecture,
    paper="Szegedy et al., Going deeper with convolutions",
    year=2014,
    smallest=13,  # leaves one pixel for inception 4a
    loss=loss,
)

VARIANTS = {
    "googlenet": going_deeper(
        GoogLeNet,
        accuracy=Accuracy("ImageNet", "the paper, table 3, one network, one crop", top5=89.93),
    ),
    "googlenet_3x3": going_deeper(
        partial(GoogLeNet, True),
        accuracy=published_accuracy(69.778, 89.530),
        weights=Weights(
            heads=("fc", "aux1.fc2", "aux2.fc2"),
            # They want -1 to 1; torchvision normalises otherwise and turns it into this
            # (`transform_input`).
            mean=(127.5, 127.5, 127.5),
            std=(127.5, 127.5, 127.5),
            training_only=("aux1", "aux2"),
        ),
    ),
}
