"""The layers that are not torch's own, against their formulas."""

import pytest
import torch

from convoy.architectures import build
from convoy.architectures.initialisation import initialise, rule
from convoy.architectures.layers import ResponseNorm, pool, scaled
from tests.architectures.on_paper import parameters


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 7, 96])
def test_response_norm_is_the_formula_of_alexnets_section_3_3(channels: int) -> None:
    """Its b = a / (k + alpha * sum of a^2 over n maps)^beta; k 2, n 5, alpha 1e-4, beta 0.75."""
    maps = torch.randn(2, channels, 3, 2, generator=torch.Generator().manual_seed(0)) * 50
    expected = torch.empty_like(maps)
    for i in range(channels):
        around = maps[:, max(0, i - 2) : min(channels - 1, i + 2) + 1]
        expected[:, i] = maps[:, i] / (2 + 1e-4 * (around**2).sum(1)) ** 0.75
    torch.testing.assert_close(ResponseNorm()(maps), expected)


def test_response_norm_holds_in_half_precision() -> None:
    maps = torch.full((1, 5, 1, 1), 1000.0)  # its square is beyond half precision
    in_half = ResponseNorm()(maps.half())
    assert in_half.dtype == torch.half
    torch.testing.assert_close(in_half.float(), ResponseNorm()(maps), rtol=2e-3, atol=0)


def test_response_norm_has_the_gradient_of_its_formula() -> None:
    maps = torch.randn(1, 6, 2, 2, dtype=torch.double, requires_grad=True)

    def naive(maps: torch.Tensor) -> torch.Tensor:
        rows = [(maps[:, max(0, i - 2) : i + 3] ** 2).sum(1) for i in range(maps.shape[1])]
        return maps / (2 + 1e-4 * torch.stack(rows, 1)) ** 0.75

    (expected,) = torch.autograd.grad(naive(maps).square().sum(), maps)
    (found,) = torch.autograd.grad(ResponseNorm()(maps).square().sum(), maps)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_an_average_divides_by_the_pixels_that_are_there() -> None:
    ones = torch.ones(1, 1, 8, 8)
    padded = pool("average", 3, stride=2, padding=1)(ones)
    beyond = pool("average", 3, stride=2, ceil_mode=True)(ones)
    assert torch.equal(padded, torch.ones(1, 1, 4, 4))
    assert torch.equal(beyond, torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("channels", "width", "multiple", "expected"),
    [(96, 1, 2, 96), (96, 0.5, 2, 48), (96, 0.1, 2, 10), (3, 0.1, 1, 1), (3, 0.1, 2, 2)],
)
def test_scaled_channels_are_whole_multiples_and_at_least_one(
    channels: int, width: float, multiple: int, expected: int
) -> None:
    assert scaled(channels, width, multiple) == expected


def test_alexnet_has_groups_in_the_second_fourth_and_fifth_convolution() -> None:
    for image_size in (227, 32):
        with torch.device("meta"):
            network = build("alexnet", num_classes=10, in_channels=3, image_size=image_size)
        groups = [m.groups for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
        assert groups == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("name", ["zfnet", "alexnet_owt"])
def test_the_networks_for_one_device_have_no_groups(name: str) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=10, in_channels=3, image_size=224)
    found = {m.groups for m in network.modules() if isinstance(m, torch.nn.Conv2d)}
    assert found == {1}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("alexnet", "Linear ReLU Dropout Linear ReLU Dropout Linear"),
        ("zfnet", "Linear ReLU Dropout Linear ReLU Dropout Linear"),
        ("vgg16", "Linear ReLU Dropout Linear ReLU Dropout Linear"),
        ("alexnet_owt", "Dropout Linear ReLU Dropout Linear ReLU Linear"),
    ],
)
def test_dropout_is_where_the_paper_or_the_published_weights_have_it(name: str, kinds: str) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=1000, in_channels=3, image_size=224)
    head = list(network.get_submodule("classifier").children())
    assert [type(part).__name__ for part in head] == kinds.split()
    units = [part.out_features for part in head if isinstance(part, torch.nn.Linear)]
    assert units == [4096, 4096, 1000]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("vgg11", [1, 1, 2, 2, 2]),
        ("vgg13", [2, 2, 2, 2, 2]),
        ("vgg16", [2, 2, 3, 3, 3]),
        ("vgg19", [2, 2, 4, 4, 4]),
    ],
)
def test_columns_of_vgg_have_their_convolutions_of_3x3_before_each_pooling(
    name: str, counts: list[int]
) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=10, in_channels=3, image_size=224)
    parts = list(network.get_submodule("features").modules())
    convolutions = [part for part in parts if isinstance(part, torch.nn.Conv2d)]
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {
        ((3, 3), (1, 1), (1, 1))
    }
    found = [0]
    for part in parts:
        if isinstance(part, torch.nn.MaxPool2d):
            assert (part.kernel_size, part.stride) == (2, 2)
            found.append(0)
        found[-1] += isinstance(part, torch.nn.Conv2d)
    assert found == [*counts, 0]


def test_shortcut_a_takes_every_second_pixel_and_adds_zeros() -> None:
    shortcut = build("resnet20", num_classes=10, in_channels=3, image_size=32).get_submodule(
        "layer2.0.downsample"
    )
    maps = torch.randn(2, 16, 8, 8)
    assert parameters(shortcut) == 0
    assert torch.equal(shortcut(maps)[:, :16], maps[:, :, ::2, ::2])
    assert torch.equal(shortcut(maps)[:, 16:], torch.zeros(2, 16, 4, 4))


def test_initial_weights_keep_the_variance_of_the_signal() -> None:
    """2 / fan_in for a rectifier, a group's inputs alone being counted; 1 / fan_in for a matrix."""
    torch.manual_seed(0)
    grouped = torch.nn.Conv2d(64, 128, 5, groups=2)
    linear = torch.nn.Linear(400, 300)
    initialise(torch.nn.Sequential(grouped, linear))
    assert grouped.weight.var().item() == pytest.approx(2 / (32 * 25), rel=0.05)
    assert linear.weight.var().item() == pytest.approx(1 / 400, rel=0.05)
    assert grouped.bias is not None and not grouped.bias.any() and not linear.bias.any()
    initialise(grouped, "tanh")
    gain = torch.nn.init.calculate_gain(rule("tanh"))
    assert grouped.weight.var().item() == pytest.approx(gain**2 / (32 * 25), rel=0.05)
