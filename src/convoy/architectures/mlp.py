"""The multi-layer perceptron (Rumelhart, Hinton and Williams, 1986).

"Learning representations by back-propagating errors", Nature 323, 533-536,
https://doi.org/10.1038/323533a0

The baseline that the convolutional networks are compared with. It takes images of any size and
knows nothing of their geometry.

Departures: two hidden layers of 512 units, far more than the paper's tasks needed; ReLU in place of
the logistic function; logits for a softmax in place of squared errors; He initialisation.
"""

from torch import Tensor, nn

from convoy.architectures.architecture import Architecture
from convoy.architectures.initialisation import initialise

HIDDEN = (512, 512)


class MLP(nn.Module):
    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = in_channels * image_size**2
        for hidden in HIDDEN:
            layers += [nn.Linear(width, hidden), nn.ReLU(inplace=True)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_classes))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


VARIANTS = {
    "mlp": Architecture(
        MLP,
        paper="Rumelhart, Hinton and Williams, Learning representations by back-propagating errors",
        year=1986,
        smallest=1,
    ),
}
