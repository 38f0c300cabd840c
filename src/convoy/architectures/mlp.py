"""The multi-layer perceptron (Rumelhart, Hinton and Williams, 1986).

"Learning representations by back-propagating errors", Nature 323, 533-536,
https://doi.org/10.1038/323533a0

Input 1 x 28 x 28; 669,706 parameters for 10 classes. The baseline that the convolutional networks
are compared with. It takes images of any size and knows nothing of their geometry.

Departures: two hidden layers of 512 units, far more than the paper's tasks needed; ReLU in place of
the logistic function; logits for a softmax in place of squared errors; He initialisation.
"""

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import Accuracy, Architecture, Task
from convoy.architectures.initialisation import initialise
from convoy.architectures.options import Activation, Share, Units, Width


class MLP(nn.Module):
    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        hidden: Units = (512, 512),
        activation: Activation = "relu",
        batch_norm: bool = False,
        dropout: Share = 0.0,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        flow: list[nn.Module] = [nn.Flatten()]
        units = in_channels * image_size**2
        for wanted in hidden:
            wide = layers.scaled(wanted, width)
            flow.append(nn.Linear(units, wide))
            if batch_norm:
                flow.append(nn.BatchNorm1d(wide))
            flow.append(layers.activation(activation))
            if dropout:
                flow.append(nn.Dropout(dropout))
            units = wide
        self.layers = nn.Sequential(*flow, nn.Linear(units, num_classes))
        initialise(self, activation)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


VARIANTS = {
    "mlp": Architecture(
        MLP,
        paper="Rumelhart, Hinton and Williams, Learning representations by back-propagating errors",
        year=1986,
        smallest=1,
        task=Task(channels=1, side=28, classes=10),
        accuracy=Accuracy(
            "MNIST", "Simard, Steinkraus and Platt 2003, one hidden layer of 800 units", top1=98.4
        ),
    ),
}
