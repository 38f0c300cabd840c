"""VGG (Simonyan and Zisserman, 2014), table 1, columns A, B, D and E.

"Very deep convolutional networks for large-scale image recognition",
https://arxiv.org/abs/1409.1556

Input 3 x 224 x 224; vgg16 has 138,357,544 parameters for 1000 classes. The names and shapes in the
state_dict are those of the weights that torchvision publishes.

Departures:
- Columns A-LRN and C are left out: the paper found no gain in the first, and D better than C.
- `_bn` adds batch normalisation after each convolution, which the paper is older than.
- Images of other sizes are averaged to the 7 x 7 map that the head expects.
- He initialisation, with which the deep columns train from the start; the paper first trained
  column A and put its layers into the others.
- Below 64 pixels the small-image form: the same convolutions on a map that ends at 1 x 1, and one
  linear layer in place of three, without dropout (vgg16_bn: 14,728,266 at 32 pixels, 10 classes).
"""

from functools import partial

from torch import Tensor, nn

from convoy.architectures.architecture import Architecture
from convoy.architectures.initialisation import initialise

Table = tuple[tuple[int, ...], ...]

# channels of each 3 x 3 convolution; a 2 x 2 max-pooling ends each group
A: Table = ((64,), (128,), (256, 256), (512, 512), (512, 512))
B: Table = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
D: Table = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
E: Table = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


def convolutions(table: Table, in_channels: int, batch_norm: bool) -> nn.Sequential:
    # one flat sequence and biases under batch norm too: the published names and shapes
    layers: list[nn.Module] = []
    for group in table:
        for channels in group:
            layers.append(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            in_channels = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    def __init__(
        self,
        table: Table,
        batch_norm: bool = False,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
    ) -> None:
        super().__init__()
        self.features = convolutions(table, in_channels, batch_norm)
        if image_size < 64:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Sequential(nn.Linear(512, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            self.classifier = nn.Sequential(
                *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
                *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
                nn.Linear(4096, num_classes),
            )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        features = self.avgpool(self.features(images))  # N x 512 x 7 x 7, small: N x 512 x 1 x 1
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


PAPER = "Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition"
# five poolings leave one pixel of 32
column = partial(Architecture, paper=PAPER, year=2014, smallest=32)

VARIANTS = {
    "vgg11": column(partial(VGG, A)),
    "vgg13": column(partial(VGG, B)),
    "vgg16": column(partial(VGG, D)),
    "vgg19": column(partial(VGG, E)),
    "vgg11_bn": column(partial(VGG, A, True)),
    "vgg13_bn": column(partial(VGG, B, True)),
    "vgg16_bn": column(partial(VGG, D, True)),
    "vgg19_bn": column(partial(VGG, E, True)),
}
