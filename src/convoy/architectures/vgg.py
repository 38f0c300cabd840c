"""VGG (Simonyan and Zisserman, 2014), table 1, columns A, B, D and E.

"Very deep convolutional networks for large-scale image recognition",
https://arxiv.org/abs/1409.1556

Input 3 x 224 x 224; vgg16 has 138,357,544 parameters for 1000 classes. The names and shapes in the
state_dict are those of the weights that torchvision publishes.

Departures:
- Column C is left out, as the paper found D better. Column A-LRN, in which it found no gain, is
  vgg11 with the option `norm: response`.
- `_bn` adds batch normalisation after each convolution, which the paper is older than.
- Images of other sizes are averaged to the 7 x 7 map that the head expects.
- He initialisation, with which the deep columns train from the start; the paper first trained
  column A and put its layers into the others.
- Below 64 pixels the small-image form: the same convolutions on a map that ends at 1 x 1, and one
  linear layer in place of three, without dropout (vgg16_bn: 14,728,266 at 32 pixels, 10 classes).
"""

from functools import partial

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import Architecture, Weights, published_accuracy
from convoy.architectures.initialisation import initialise
from convoy.architectures.options import Activation, Norm, Padding, Pool, Share, Width
from convoy.errors import UsageError

Table = tuple[tuple[int, ...], ...]

# channels of each 3 x 3 convolution; a 2 x 2 max-pooling ends each group
A: Table = ((64,), (128,), (256, 256), (512, 512), (512, 512))
B: Table = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
D: Table = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
E: Table = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


def smallest_unpadded(table: Table) -> int:
    """The image side that leaves one pixel where no convolution is padded: each takes 2 away."""
    side = 1
    for group in reversed(table):
        side = 2 * side + 2 * len(group)
    return side


class VGG(nn.Module):
    def __init__(
        self,
        table: Table,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        pool: Pool = "max",
        padding: Padding = "same",
        activation: Activation = "relu",
        norm: Norm = "none",
        dropout: Share | None = None,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        smallest = smallest_unpadded(table)
        if padding == "valid" and image_size < smallest:
            raise UsageError(
                f"this column of VGG with padding 'valid' cannot take images of {image_size} "
                f"pixels: its smallest image_size is {smallest}."
            )
        # one flat sequence and biases under batch norm too: the published names and shapes
        flow: list[nn.Module] = []
        maps = in_channels
        for group in table:
            for channels in group:
                wide = layers.scaled(channels, width)
                flow += layers.convolution(
                    *(maps, wide, 3, activation, norm == "batch"), padding=int(padding == "same")
                )
                maps = wide
            if norm == "response" and group is table[0]:
                flow.append(layers.ResponseNorm())  # column A-LRN
            flow.append(layers.pool(pool, 2, stride=2))
        self.features = nn.Sequential(*flow)
        small = image_size < 64
        share = dropout if dropout is not None else 0.0 if small else 0.5
        if small:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            before = [nn.Dropout(share)] if share else []
            self.classifier = nn.Sequential(*before, nn.Linear(maps, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            units = layers.scaled(4096, width)
            self.classifier = nn.Sequential(
                *(nn.Linear(maps * 7 * 7, units), layers.activation(activation), nn.Dropout(share)),
                *(nn.Linear(units, units), layers.activation(activation), nn.Dropout(share)),
                nn.Linear(units, num_classes),
            )
        initialise(self, activation)

    def forward(self, images: Tensor) -> Tensor:
        features = self.avgpool(self.features(images))  # N x 512 x 7 x 7, small: N x 512 x 1 x 1
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


PAPER = "Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition"
column = partial(
    Architecture,
    paper=PAPER,
    year=2014,
    smallest=32,  # five poolings leave one pixel
    weights=Weights(heads=("classifier.6",)),
)

VARIANTS = {
    "vgg11": column(partial(VGG, A), accuracy=published_accuracy(69.020, 88.628)),
    "vgg13": column(partial(VGG, B), accuracy=published_accuracy(69.928, 89.246)),
    "vgg16": column(partial(VGG, D), accuracy=published_accuracy(71.592, 90.382)),
    "vgg19": column(partial(VGG, E), accuracy=published_accuracy(72.376, 90.876)),
    "vgg11_bn": column(partial(VGG, A, norm="batch"), accuracy=published_accuracy(70.370, 89.810)),
    "vgg13_bn": column(partial(VGG, B, norm="batch"), accuracy=published_accuracy(71.586, 90.374)),
    "vgg16_bn": column(partial(VGG, D, norm="batch"), accuracy=published_accuracy(73.360, 91.516)),
    "vgg19_bn": column(partial(VGG, E, norm="batch"), accuracy=published_accuracy(74.218, 91.842)),
}
