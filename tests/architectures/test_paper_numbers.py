"""What the papers and the published weights say of the networks: parameters, maps, costs, keys."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from convoy.architectures import build
from convoy.architectures.alexnet import ResponseNorm


def on_paper(name: str, num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """A network of shapes alone: no memory and no arithmetic."""
    with torch.device("meta"):
        return build(
            name, num_classes=num_classes, in_channels=in_channels, image_size=image_size
        ).eval()


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def run(network: nn.Module, in_channels: int, image_size: int) -> dict[str, tuple[int, ...]]:
    """The shape that each innermost module gives, by its name, in the order of the flow."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            shapes[name] = tuple(output.shape[1:])

        return hook

    for name, module in network.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(note(name))
    network(torch.empty(1, in_channels, image_size, image_size, device="meta"))
    return shapes


def multiply_adds(network: nn.Module, in_channels: int, image_size: int) -> int:
    shapes = run(network, in_channels, image_size)
    total = 0
    for name, module in network.named_modules():
        if name in shapes and isinstance(module, nn.Conv2d | nn.Linear):
            pixels = shapes[name][1] * shapes[name][2] if isinstance(module, nn.Conv2d) else 1
            total += module.weight.numel() * pixels
    return total


def sides(network: nn.Module, image_size: int) -> list[int]:
    """The sides of the maps down to the head, each once."""
    maps = [shape[1] for shape in run(network, 3, image_size).values() if len(shape) == 3]
    return list(dict.fromkeys(maps))


@pytest.mark.parametrize(
    ("name", "image_size", "count"),
    [
        ("alexnet", 227, 60_965_224),
        ("alexnet", 224, 60_965_224),
        ("zfnet", 224, 62_357_608),
        ("vgg11", 224, 132_863_336),
        ("vgg11_bn", 224, 132_868_840),
        ("vgg13", 224, 133_047_848),
        ("vgg13_bn", 224, 133_053_736),
        ("vgg16", 224, 138_357_544),
        ("vgg16_bn", 224, 138_365_992),
        ("vgg19", 224, 143_667_240),
        ("vgg19_bn", 224, 143_678_248),
        ("resnet18", 224, 11_689_512),
        ("resnet34", 224, 21_797_672),
        ("resnet50", 224, 25_557_032),
        ("resnet101", 224, 44_549_160),
        ("resnet152", 224, 60_192_808),
    ],
)
def test_parameters_for_imagenet_are_the_published_ones(
    name: str, image_size: int, count: int
) -> None:
    assert parameters(on_paper(name, 1000, 3, image_size)) == count


@pytest.mark.parametrize(
    ("name", "in_channels", "count"),
    [
        ("mlp", 3, 1_841_162),
        ("lenet5", 1, 61_706),
        ("lenet5", 3, 62_006),
        ("vgg11_bn", 3, 9_231_114),
        ("vgg13_bn", 3, 9_416_010),
        ("vgg16_bn", 3, 14_728_266),
        ("vgg19_bn", 3, 20_040_522),
        ("resnet20", 3, 269_722),
        ("resnet32", 3, 464_154),
        ("resnet44", 3, 658_586),
        ("resnet56", 3, 853_018),
        ("resnet110", 3, 1_727_962),
        ("resnet18", 3, 11_173_962),
        ("resnet34", 3, 21_282_122),
        ("resnet50", 3, 23_520_842),
        ("resnet101", 3, 42_512_970),
        ("resnet152", 3, 58_156_618),
    ],
)
def test_parameters_at_32_pixels_are_the_known_ones(
    name: str, in_channels: int, count: int
) -> None:
    assert parameters(on_paper(name, 10, in_channels, 32)) == count


@pytest.mark.parametrize(
    ("name", "image_size", "billions"),
    [
        ("alexnet", 227, 0.724),
        ("zfnet", 224, 1.168),
        ("vgg11", 224, 7.609),
        ("vgg13", 224, 11.308),
        ("vgg16", 224, 15.470),
        ("vgg19", 224, 19.632),
        ("googlenet", 224, 1.583),
        ("resnet18", 224, 1.814),
        ("resnet34", 224, 3.664),
        ("resnet50", 224, 4.089),
        ("resnet101", 224, 7.801),
        ("resnet152", 224, 11.514),
    ],
)
def test_multiply_adds_for_imagenet_are_the_known_ones(
    name: str, image_size: int, billions: float
) -> None:
    network = on_paper(name, 1000, 3, image_size)
    assert multiply_adds(network, 3, image_size) / 1e9 == pytest.approx(billions, abs=0.0006)


@pytest.mark.parametrize(
    ("name", "at_most"),
    [
        ("mlp", 1e6),
        ("lenet5", 0.43e6),
        ("alexnet", 45e6),
        ("zfnet", 45e6),
        ("googlenet", 60e6),
        ("resnet20", 40.6e6),
        ("vgg11_bn", 153e6),
    ],
)
def test_small_images_are_cheap_enough_for_a_processor(name: str, at_most: float) -> None:
    assert multiply_adds(on_paper(name, 10, 1, 32), 1, 32) <= at_most


@pytest.mark.parametrize("name", ["alexnet", "zfnet"])
def test_the_small_head_is_small(name: str) -> None:
    linear = [m for m in on_paper(name, 10, 1, 32).modules() if isinstance(m, nn.Linear)]
    assert sum(parameters(layer) for layer in linear) <= 2_500_000


@pytest.mark.parametrize(
    ("name", "image_size", "expected"),
    [
        ("lenet5", 32, [28, 14, 10, 5, 1]),
        ("alexnet", 227, [55, 27, 13, 6]),
        ("alexnet", 224, [55, 27, 13, 6]),
        ("alexnet", 32, [16, 7, 3]),
        ("zfnet", 224, [110, 55, 26, 13, 6]),
        ("zfnet", 32, [16, 8, 3]),
        ("vgg16", 224, [224, 112, 56, 28, 14, 7]),
        ("vgg16_bn", 32, [32, 16, 8, 4, 2, 1]),
        ("googlenet", 224, [112, 56, 28, 14, 7, 1]),
        ("googlenet", 32, [13, 6, 3, 2, 1]),
        ("resnet50", 224, [112, 56, 28, 14, 7]),
        ("resnet18", 32, [32, 16, 8, 4]),
        ("resnet20", 32, [32, 16, 8]),
    ],
)
def test_maps_have_the_sizes_of_the_paper(name: str, image_size: int, expected: list[int]) -> None:
    assert sides(on_paper(name, 10, 3, image_size), image_size) == expected


def test_lenet5_has_the_layers_of_the_paper() -> None:
    counts = {name: parameters(m) for name, m in on_paper("lenet5", 10, 1, 32).named_children()}
    assert (counts["c1"], counts["c5"], counts["f6"]) == (156, 48_120, 10_164)


def test_response_normalisation_is_the_formula_of_alexnets_section_3_3() -> None:
    maps = torch.rand(1, 7, 1, 1) * 50
    expected = torch.empty(7)
    for i in range(7):
        neighbours = maps[0, max(0, i - 2) : min(6, i + 2) + 1, 0, 0]
        expected[i] = maps[0, i, 0, 0] / (2 + 1e-4 * (neighbours**2).sum()) ** 0.75
    torch.testing.assert_close(ResponseNorm()(maps).flatten(), expected)


def test_response_normalisation_holds_in_half_precision() -> None:
    maps = torch.full((1, 5, 1, 1), 1000.0)  # its square is beyond half precision
    in_half = ResponseNorm()(maps.half())
    assert in_half.dtype == torch.half
    torch.testing.assert_close(in_half.float(), ResponseNorm()(maps), rtol=2e-3, atol=0)


def test_alexnet_has_groups_in_the_second_fourth_and_fifth_convolution() -> None:
    for image_size in (227, 32):
        network = on_paper("alexnet", 10, 3, image_size)
        groups = [m.groups for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert groups == [1, 2, 1, 2, 2]


PUBLISHED_VGG11 = {
    "features.0.weight": (64, 3, 3, 3),
    "features.0.bias": (64,),
    "features.3.weight": (128, 64, 3, 3),
    "features.3.bias": (128,),
    "features.6.weight": (256, 128, 3, 3),
    "features.6.bias": (256,),
    "features.8.weight": (256, 256, 3, 3),
    "features.8.bias": (256,),
    "features.11.weight": (512, 256, 3, 3),
    "features.11.bias": (512,),
    "features.13.weight": (512, 512, 3, 3),
    "features.13.bias": (512,),
    "features.16.weight": (512, 512, 3, 3),
    "features.16.bias": (512,),
    "features.18.weight": (512, 512, 3, 3),
    "features.18.bias": (512,),
    "classifier.0.weight": (4096, 25088),
    "classifier.0.bias": (4096,),
    "classifier.3.weight": (4096, 4096),
    "classifier.3.bias": (4096,),
    "classifier.6.weight": (1000, 4096),
    "classifier.6.bias": (1000,),
}


def shapes_by_key(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(weight.shape) for key, weight in network.state_dict().items()}


def test_vgg11_has_the_keys_and_shapes_of_the_published_weights() -> None:
    assert shapes_by_key(on_paper("vgg11", 1000, 3, 224)) == PUBLISHED_VGG11


def test_vgg_bn_has_the_keys_of_the_published_weights() -> None:
    shapes = shapes_by_key(on_paper("vgg16_bn", 1000, 3, 224))
    convolutions = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    assert [int(k.split(".")[1]) for k, s in shapes.items() if len(s) == 4] == convolutions
    for index in convolutions:
        channels = shapes[f"features.{index}.bias"]
        for key in ("weight", "bias", "running_mean", "running_var"):
            assert shapes[f"features.{index + 1}.{key}"] == channels


def test_resnet_has_the_keys_and_shapes_of_the_published_weights() -> None:
    shapes = shapes_by_key(on_paper("resnet50", 1000, 3, 224))
    assert len(shapes) == 320
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["bn1.running_var"] == (64,)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer1.0.downsample.1.num_batches_tracked"] == ()
    assert shapes["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["layer4.2.bn3.weight"] == (2048,)
    assert shapes["fc.weight"] == (1000, 2048)
    assert "layer1.1.downsample.0.weight" not in shapes
    assert len(shapes_by_key(on_paper("resnet18", 1000, 3, 224))) == 122


def test_a_bottleneck_halves_the_map_in_its_3x3_convolution() -> None:
    first = on_paper("resnet50", 1000, 3, 224).get_submodule("layer2.0")
    strides = [m.stride for m in first.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [(1, 1), (2, 2), (1, 1), (2, 2)]  # the last is the shortcut


def test_shortcut_a_takes_every_second_pixel_and_adds_zeros() -> None:
    torch.manual_seed(0)
    shortcut = build("resnet20", num_classes=10, in_channels=3, image_size=32).get_submodule(
        "layer2.0.downsample"
    )
    maps = torch.randn(2, 16, 8, 8)
    assert parameters(shortcut) == 0
    assert torch.equal(shortcut(maps)[:, :16], maps[:, :, ::2, ::2])
    assert torch.equal(shortcut(maps)[:, 16:], torch.zeros(2, 16, 4, 4))
