"""ResNet (He, Zhang, Ren and Sun, 2015): table 1, and section 4.2 for small images.

"Deep residual learning for image recognition", https://arxiv.org/abs/1512.03385

resnet18, 34, 50, 101 and 152: input 3 x 224 x 224; resnet50 has 25,557,032 parameters for 1000
classes. Shortcuts are option B. The names and shapes in the state_dict are those of the weights
that torchvision publishes.

resnet20, 32, 44, 56 and 110: input 3 x 32 x 32; resnet20 has 269,722 parameters for 10 classes.
Shortcuts are option A, without parameters.

Departures:
- A bottleneck that halves the map does so in its 3 x 3 convolution, as in the network of the
  published weights, not in its first 1 x 1.
  The option `halve: 1x1` is the paper's.
- Below 64 pixels the networks of table 1 take a small-image form: a 3 x 3 stem of stride 1 and no
  max-pooling (resnet18: 11,173,962 at 3 x 32 x 32, 10 classes).
"""

from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures import layers
from convoy.architectures.architecture import (
    CIFAR10,
    Accuracy,
    Architecture,
    Weights,
    published_accuracy,
)
from convoy.architectures.initialisation import initialise
from convoy.architectures.options import Activation, Share, Width

Shortcut = Literal["A", "B", "C"]
"""Table 3: zeros for new channels, projections where the shape changes, projections everywhere."""


class Form(NamedTuple):
    """What all blocks of one network share."""

    shortcut: Shortcut
    activation: Activation
    batch_norm: bool
    halve: Literal["3x3", "1x1"] = "3x3"
    """Which convolution of a bottleneck halves the map."""

    def conv(self, in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        # no bias under batch norm, which has its own
        padding = kernel // 2
        bias = not self.batch_norm
        return nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=bias)

    def norm(self, channels: int) -> nn.Module:
        return layers.batch_norm(self.batch_norm, channels)

    def act(self) -> nn.Module:
        return layers.activation(self.activation)

    def beside(self, in_channels: int, channels: int, stride: int) -> nn.Module:
        """What goes around a block."""
        same = stride == 1 and in_channels == channels
        if same and self.shortcut != "C":
            return nn.Identity()
        if self.shortcut == "A":
            return Padding(in_channels, channels, stride)
        projection = self.conv(in_channels, channels, 1, stride)
        return nn.Sequential(projection, self.norm(channels))


class Padding(nn.Module):
    """Shortcut A: every second pixel, and channels of zeros for those that are new."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = channels - in_channels
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps[:, :, :: self.stride, :: self.stride]
        return F.pad(maps, (0, 0, 0, 0, 0, self.new_channels))


class Basic(nn.Module):
    """Figure 5, left."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, form: Form) -> None:
        super().__init__()
        self.conv1 = form.conv(in_channels, channels, 3, stride)
        self.bn1 = form.norm(channels)
        self.conv2 = form.conv(channels, channels, 3)
        self.bn2 = form.norm(channels)
        self.downsample = form.beside(in_channels, channels, stride)
        self.act = form.act()

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.act(self.bn1(self.conv1(maps)))
        residual = self.bn2(self.conv2(residual))
        summed: Tensor = self.act(residual + self.downsample(maps))
        return summed


class Bottleneck(nn.Module):
    """Figure 5, right: the 3 x 3 convolution works on a quarter of the channels."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, form: Form) -> None:
        super().__init__()
        wide = channels * self.expansion
        first, second = (stride, 1) if form.halve == "1x1" else (1, stride)
        self.conv1 = form.conv(in_channels, channels, 1, first)
        self.bn1 = form.norm(channels)
        self.conv2 = form.conv(channels, channels, 3, second)
        self.bn2 = form.norm(channels)
        self.conv3 = form.conv(channels, wide, 1)
        self.bn3 = form.norm(wide)
        self.downsample = form.beside(in_channels, wide, stride)
        self.act = form.act()

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.act(self.bn1(self.conv1(maps)))
        residual = self.act(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        summed: Tensor = self.act(residual + self.downsample(maps))
        return summed


Block = type[Basic] | type[Bottleneck]


def stage(
    block: Block, blocks: int, in_channels: int, channels: int, stride: int, form: Form
) -> nn.Sequential:
    wide = channels * block.expansion
    return nn.Sequential(
        block(in_channels, channels, stride, form),
        *(block(wide, channels, 1, form) for _ in range(1, blocks)),
    )


class ResNet(nn.Module):
    """Table 1."""

    def __init__(
        self,
        block: Block,
        blocks: tuple[int, int, int, int],
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        shortcut: Shortcut = "B",
        halve: Literal["3x3", "1x1"] = "3x3",
        activation: Activation = "relu",
        batch_norm: bool = True,
        dropout: Share = 0.0,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        form = Form(shortcut, activation, batch_norm, halve)
        one, two, three, four = (layers.scaled(c, width) for c in (64, 128, 256, 512))
        wide = block.expansion
        if image_size < 64:
            self.conv1 = form.conv(in_channels, one, 3)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.conv1 = form.conv(in_channels, one, 7, stride=2)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = form.norm(one)
        self.act = form.act()
        self.layer1 = stage(block, blocks[0], one, one, 1, form)
        self.layer2 = stage(block, blocks[1], one * wide, two, 2, form)
        self.layer3 = stage(block, blocks[2], two * wide, three, 2, form)
        self.layer4 = stage(block, blocks[3], three * wide, four, 2, form)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(four * wide, num_classes)
        initialise(self, activation)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.bn1(self.conv1(images)))  # N x 64 x 112 x 112, at 32 pixels 32 x 32
        maps = self.layer1(self.maxpool(maps))  # 56 x 56, 32 x 32
        maps = self.layer2(maps)  # 28 x 28, 16 x 16
        maps = self.layer3(maps)  # 14 x 14, 8 x 8
        maps = self.layer4(maps)  # N x 512 (bottleneck: 2048) x 7 x 7, 4 x 4
        logits: Tensor = self.fc(self.dropout(maps.mean((2, 3))))
        return logits


class SmallResNet(nn.Module):
    """Section 4.2: 6n + 2 layers, three stages of n blocks."""

    def __init__(
        self,
        n: int,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        shortcut: Shortcut = "A",
        activation: Activation = "relu",
        batch_norm: bool = True,
        dropout: Share = 0.0,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        form = Form(shortcut, activation, batch_norm)
        one, two, three = (layers.scaled(channels, width) for channels in (16, 32, 64))
        self.conv1 = form.conv(in_channels, one, 3)
        self.bn1 = form.norm(one)
        self.act = form.act()
        self.layer1 = stage(Basic, n, one, one, 1, form)
        self.layer2 = stage(Basic, n, one, two, 2, form)
        self.layer3 = stage(Basic, n, two, three, 2, form)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(three, num_classes)
        initialise(self, activation)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.bn1(self.conv1(images)))  # N x 16 x 32 x 32
        maps = self.layer1(maps)  # N x 16 x 32 x 32
        maps = self.layer2(maps)  # N x 32 x 16 x 16
        maps = self.layer3(maps)  # N x 64 x 8 x 8
        logits: Tensor = self.fc(self.dropout(maps.mean((2, 3))))
        return logits


PAPER = "He et al., Deep residual learning for image recognition"
# the last stage sees one pixel of these; of a smaller image it would see padding
table1 = partial(Architecture, paper=PAPER, year=2015, smallest=8, weights=Weights(heads=("fc",)))
section42 = partial(Architecture, paper=PAPER, year=2015, smallest=4, task=CIFAR10)


# no bottleneck to halve the map in: `halve` is no option of these
basic = partial(ResNet, Basic, halve="3x3")


def table6(top1: float) -> Accuracy:
    return Accuracy("CIFAR-10", "the paper, table 6", top1)


VARIANTS = {
    "resnet18": table1(partial(basic, (2, 2, 2, 2)), accuracy=published_accuracy(69.758, 89.078)),
    "resnet34": table1(partial(basic, (3, 4, 6, 3)), accuracy=published_accuracy(73.314, 91.420)),
    "resnet50": table1(
        partial(ResNet, Bottleneck, (3, 4, 6, 3)), accuracy=published_accuracy(76.130, 92.862)
    ),
    "resnet101": table1(
        partial(ResNet, Bottleneck, (3, 4, 23, 3)), accuracy=published_accuracy(77.374, 93.546)
    ),
    "resnet152": table1(
        partial(ResNet, Bottleneck, (3, 8, 36, 3)), accuracy=published_accuracy(78.312, 94.046)
    ),
    "resnet20": section42(partial(SmallResNet, 3), accuracy=table6(91.25)),
    "resnet32": section42(partial(SmallResNet, 5), accuracy=table6(92.49)),
    "resnet44": section42(partial(SmallResNet, 7), accuracy=table6(92.83)),
    "resnet56": section42(partial(SmallResNet, 9), accuracy=table6(93.03)),
    "resnet110": section42(partial(SmallResNet, 18), accuracy=table6(93.57)),
}
