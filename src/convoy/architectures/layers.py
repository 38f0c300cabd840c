"""The layers that a network's options choose between."""

from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures.options import Activation, Norm, Pool


class ResponseNorm(nn.Module):
    """AlexNet, section 3.3: each map by the sum of squares of the n = 5 maps around it.

    Not `nn.LocalResponseNorm`: that one takes the mean of the squares where the paper takes their
    sum, and on a processor it needs three times as long.
    """

    def forward(self, maps: Tensor) -> Tensor:
        # float: in half precision the square of a map overflows at 256
        squares = F.pad(maps.float().square(), (0, 0, 0, 0, 2, 2))
        pairs = squares[:, :-1] + squares[:, 1:]
        five = pairs[:, :-3] + pairs[:, 2:-1] + squares[:, 4:]
        root = (2 + 1e-4 * five).rsqrt()  # k = 2, alpha = 1e-4
        return maps * (root * root.sqrt()).type_as(maps)  # beta = 0.75


def activation(kind: Activation) -> nn.Module:
    match kind:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(inplace=True)
        case "elu":
            return nn.ELU(inplace=True)
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU(inplace=True)
        case "tanh":
            return nn.Tanh()
        case "sigmoid":
            return nn.Sigmoid()


def batch_norm(wanted: bool, channels: int, eps: float = 1e-5) -> nn.Module:
    return nn.BatchNorm2d(channels, eps) if wanted else nn.Identity()


def response_norm(norm: Norm) -> nn.Module:
    """Where a network of 2012 to 2014 has one."""
    return ResponseNorm() if norm == "response" else nn.Identity()


def pool(
    kind: Pool, size: int, *, stride: int, padding: int = 0, ceil_mode: bool = False
) -> nn.Module:
    if kind == "max":
        return nn.MaxPool2d(size, stride, padding, ceil_mode=ceil_mode)
    # of the image's pixels alone: zeros around it would darken the border
    return nn.AvgPool2d(size, stride, padding, ceil_mode, count_include_pad=False)


def convolution(
    in_channels: int,
    channels: int,
    kernel: int,
    act: Activation,
    batch: bool,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> tuple[nn.Module, ...]:
    """A convolution and what follows each: batch norm or not, and the activation."""
    first = nn.Conv2d(in_channels, channels, kernel, stride, padding, groups=groups)
    if batch:
        return first, nn.BatchNorm2d(channels), activation(act)
    return first, activation(act)


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """The paper's number of channels or units times `width`, a multiple that groups can share."""
    return max(1, round(channels * width / multiple)) * multiple
