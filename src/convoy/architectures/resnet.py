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
- Below 64 pixels the networks of table 1 take a small-image form: a 3 x 3 stem of stride 1 and no
  max-pooling (resnet18: 11,173,962 at 3 x 32 x 32, 10 classes).
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures.architecture import Architecture
from convoy.architectures.initialisation import initialise


def conv3x3(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    # no bias: the batch norm that follows has its own
    return nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)


def conv1x1(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)


class Padding(nn.Module):
    """Shortcut A: every second pixel, and channels of zeros for those that are new."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = channels - in_channels
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps[:, :, :: self.stride, :: self.stride]
        return F.pad(maps, (0, 0, 0, 0, 0, self.new_channels))


def projection(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Shortcut B: a learnt 1 x 1 convolution, only where the shape changes."""
    return nn.Sequential(conv1x1(in_channels, channels, stride), nn.BatchNorm2d(channels))


Shortcut = Callable[[int, int, int], nn.Module]


class Basic(nn.Module):
    """Figure 5, left."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        same = stride == 1 and in_channels == channels
        self.downsample = nn.Identity() if same else shortcut(in_channels, channels, stride)

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.bn1(self.conv1(maps)).relu_()
        residual = self.bn2(self.conv2(residual))
        summed: Tensor = residual + self.downsample(maps)
        return summed.relu_()


class Bottleneck(nn.Module):
    """Figure 5, right: the 3 x 3 convolution works on a quarter of the channels."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv1x1(in_channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv1x1(channels, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and in_channels == out_channels
        self.downsample = nn.Identity() if same else shortcut(in_channels, out_channels, stride)

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.bn1(self.conv1(maps)).relu_()
        residual = self.bn2(self.conv2(residual)).relu_()
        residual = self.bn3(self.conv3(residual))
        summed: Tensor = residual + self.downsample(maps)
        return summed.relu_()


Block = type[Basic] | type[Bottleneck]


def stage(
    block: Block, blocks: int, in_channels: int, channels: int, stride: int, shortcut: Shortcut
) -> nn.Sequential:
    out_channels = channels * block.expansion
    return nn.Sequential(
        block(in_channels, channels, stride, shortcut),
        *(block(out_channels, channels, 1, shortcut) for _ in range(1, blocks)),
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
    ) -> None:
        super().__init__()
        if image_size < 64:
            self.conv1 = conv3x3(in_channels, 64)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(64)
        wide = block.expansion
        self.layer1 = stage(block, blocks[0], 64, 64, 1, projection)
        self.layer2 = stage(block, blocks[1], 64 * wide, 128, 2, projection)
        self.layer3 = stage(block, blocks[2], 128 * wide, 256, 2, projection)
        self.layer4 = stage(block, blocks[3], 256 * wide, 512, 2, projection)
        self.fc = nn.Linear(512 * wide, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.bn1(self.conv1(images)).relu_()  # N x 64 x 112 x 112, at 32 pixels 32 x 32
        maps = self.layer1(self.maxpool(maps))  # 56 x 56, 32 x 32
        maps = self.layer2(maps)  # 28 x 28, 16 x 16
        maps = self.layer3(maps)  # 14 x 14, 8 x 8
        maps = self.layer4(maps)  # N x 512 (bottleneck: 2048) x 7 x 7, 4 x 4
        logits: Tensor = self.fc(maps.mean((2, 3)))
        return logits


class SmallResNet(nn.Module):
    """Section 4.2: 6n + 2 layers, three stages of n blocks."""

    def __init__(self, n: int, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(Basic, n, 16, 16, 1, Padding)
        self.layer2 = stage(Basic, n, 16, 32, 2, Padding)
        self.layer3 = stage(Basic, n, 32, 64, 2, Padding)
        self.fc = nn.Linear(64, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.bn1(self.conv1(images)).relu_()  # N x 16 x 32 x 32
        maps = self.layer1(maps)  # N x 16 x 32 x 32
        maps = self.layer2(maps)  # N x 32 x 16 x 16
        maps = self.layer3(maps)  # N x 64 x 8 x 8
        logits: Tensor = self.fc(maps.mean((2, 3)))
        return logits


PAPER = "He et al., Deep residual learning for image recognition"
# the last stage sees one pixel of these; of a smaller image it would see padding
table1 = partial(Architecture, paper=PAPER, year=2015, smallest=8)
section42 = partial(Architecture, paper=PAPER, year=2015, smallest=4)

VARIANTS = {
    "resnet18": table1(partial(ResNet, Basic, (2, 2, 2, 2))),
    "resnet34": table1(partial(ResNet, Basic, (3, 4, 6, 3))),
    "resnet50": table1(partial(ResNet, Bottleneck, (3, 4, 6, 3))),
    "resnet101": table1(partial(ResNet, Bottleneck, (3, 4, 23, 3))),
    "resnet152": table1(partial(ResNet, Bottleneck, (3, 8, 36, 3))),
    "resnet20": section42(partial(SmallResNet, 3)),
    "resnet32": section42(partial(SmallResNet, 5)),
    "resnet44": section42(partial(SmallResNet, 7)),
    "resnet56": section42(partial(SmallResNet, 9)),
    "resnet110": section42(partial(SmallResNet, 18)),
}
