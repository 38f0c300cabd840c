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

from convoy.architectures.architecture import Architecture


class LeNet5(nn.Module):
    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.AdaptiveAvgPool2d(5)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)
        for layer in (self.c1, self.c3, self.c5, self.f6, self.output):
            gain = 1.0 if layer is self.output else nn.init.calculate_gain("tanh")
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        features = self.s2(self.c1(images).tanh())  # N x 6 x 14 x 14
        features = self.s4(self.c3(features).tanh())  # N x 16 x 5 x 5
        features = self.c5(features).tanh().flatten(1)  # N x 120
        logits: Tensor = self.output(self.f6(features).tanh())
        return logits


VARIANTS = {
    "lenet5": Architecture(
        LeNet5,
        paper="LeCun et al., Gradient-based learning applied to document recognition",
        year=1998,
        smallest=32,  # the paper's; below it the windows of S4 would overlap
    ),
}
