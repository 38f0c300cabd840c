"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, 1998), figure 2, in its modern reading.

"Gradient-based learning applied to document recognition", Proceedings of the IEEE 86(11),
2278-2324, https://doi.org/10.1109/5.726791

Input 1 x 32 x 32; 61,706 parameters for 10 classes (the paper's network has 60,000).

Departures:
- C3 sees all six maps of S2; the paper's table 1 connects each of its maps to three, four or six.
- S2 and S4 average without their trainable coefficient and bias, and without a sigmoid.
- tanh(x) in place of 1.7159 tanh(2x / 3), with Glorot and Bengio's initialisation of 2010.
- One linear layer gives logits for a softmax, in place of ten fixed radial basis functions.
- S4 averages to 5 x 5 whatever the image's size: at 32 pixels that is the paper's 2 x 2 average, in
  larger images the windows grow.
"""

from torch import Tensor, nn

from convoy.architectures import layers
from convoy.architectures.architecture import Accuracy, Architecture, Task
from convoy.architectures.initialisation import rule
from convoy.architectures.options import Activation, Padding, Pool, Share, Width


class LeNet5(nn.Module):
    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        pool: Pool = "average",
        padding: Padding = "valid",
        activation: Activation = "tanh",
        batch_norm: bool = False,
        dropout: Share = 0.0,
        width: Width = 1.0,
    ) -> None:
        super().__init__()
        c1, c3, c5, f6 = (layers.scaled(maps, width) for maps in (6, 16, 120, 84))
        border = 2 if padding == "same" else 0
        self.c1 = nn.Conv2d(in_channels, c1, kernel_size=5, padding=border)
        self.n1 = layers.batch_norm(batch_norm, c1)
        self.s2 = layers.pool(pool, 2, stride=2)
        self.c3 = nn.Conv2d(c1, c3, kernel_size=5, padding=border)
        self.n3 = layers.batch_norm(batch_norm, c3)
        self.s4 = nn.AdaptiveAvgPool2d(5) if pool == "average" else nn.AdaptiveMaxPool2d(5)
        self.c5 = nn.Conv2d(c3, c5, kernel_size=5)
        self.f6 = nn.Linear(c5, f6)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(f6, num_classes)
        self.act = layers.activation(activation)
        for layer in (self.c1, self.c3, self.c5, self.f6, self.output):
            gain = 1.0 if layer is self.output else nn.init.calculate_gain(rule(activation))
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.n1(self.c1(images)))  # N x 6 x 28 x 28
        maps = self.s2(maps)  # N x 6 x 14 x 14
        maps = self.act(self.n3(self.c3(maps)))  # N x 16 x 10 x 10
        maps = self.s4(maps)  # N x 16 x 5 x 5
        features = self.act(self.c5(maps)).flatten(1)  # N x 120
        features = self.dropout(self.act(self.f6(features)))  # N x 84
        logits: Tensor = self.output(features)
        return logits


VARIANTS = {
    "lenet5": Architecture(
        LeNet5,
        paper="LeCun et al., Gradient-based learning applied to document recognition",
        year=1998,
        smallest=32,  # the paper's; below it the windows of S4 would overlap
        task=Task(channels=1, side=32, classes=10),
        accuracy=Accuracy("MNIST", "the paper, figure 9, without distortions", top1=99.05),
    ),
}
