"""How many parameters the papers and the published weights say that the networks have."""

from typing import Any

import pytest
from torch import nn

from tests.architectures import on_paper
from tests.architectures.on_paper import parameters

# for 1000 classes, and for 10
AT_224 = {
    "alexnet": (60_965_224, None),
    "alexnet_owt": (61_100_840, 57_044_810),
    "zfnet": (62_357_608, 58_301_578),
    "vgg11": (132_863_336, 128_807_306),
    "vgg11_bn": (132_868_840, None),
    "vgg13": (133_047_848, 128_991_818),
    "vgg13_bn": (133_053_736, None),
    "vgg16": (138_357_544, 134_301_514),
    "vgg16_bn": (138_365_992, None),
    "vgg19": (143_667_240, 139_611_210),
    "vgg19_bn": (143_678_248, None),
    "googlenet_3x3": (13_004_888, 9_960_638),
    "resnet18": (11_689_512, 11_181_642),
    "resnet34": (21_797_672, 21_289_802),
    "resnet50": (25_557_032, 23_528_522),
    "resnet101": (44_549_160, 42_520_650),
    "resnet152": (60_192_808, 58_164_298),
}


@pytest.mark.parametrize("name", AT_224)
def test_parameters_at_224_pixels_are_the_published_ones(name: str) -> None:
    thousand, ten = AT_224[name]
    assert parameters(on_paper.network(name, 1000, 3, 224)) == thousand
    if ten is not None:
        assert parameters(on_paper.network(name, 10, 3, 224)) == ten


@pytest.mark.parametrize(
    ("name", "channels", "count"),
    [
        ("mlp", 3, 1_841_162),
        ("lenet5", 1, 61_706),
        ("lenet5", 3, 62_006),
        ("vgg11_bn", 3, 9_231_114),
        ("vgg13_bn", 3, 9_416_010),
        ("vgg16_bn", 3, 14_728_266),
        ("vgg19_bn", 3, 20_040_522),
        ("resnet18", 3, 11_173_962),
        ("resnet34", 3, 21_282_122),
        ("resnet50", 3, 23_520_842),
        ("resnet101", 3, 42_512_970),
        ("resnet152", 3, 58_156_618),
    ],
)
def test_parameters_at_32_pixels_are_the_known_ones(name: str, channels: int, count: int) -> None:
    assert parameters(on_paper.network(name, 10, channels, 32)) == count


@pytest.mark.parametrize(
    ("name", "padded", "projected"),
    [
        ("resnet20", 269_722, 272_474),
        ("resnet32", 464_154, 466_906),
        ("resnet44", 658_586, 661_338),
        ("resnet56", 853_018, 855_770),
        ("resnet110", 1_727_962, 1_730_714),
    ],
)
def test_small_resnets_have_no_parameters_in_their_shortcuts_unless_told_so(
    name: str, padded: int, projected: int
) -> None:
    assert parameters(on_paper.network(name, 10, 3, 32)) == padded
    assert parameters(on_paper.network(name, 10, 3, 32, shortcut="B")) == projected


@pytest.mark.parametrize(
    ("hidden", "count"),
    [
        ([300], 238_510),
        ([1000], 795_010),
        ([500, 150], 469_160),
        ([512, 512], 669_706),
        ([256, 128, 64], 242_762),
    ],
)
def test_perceptrons_of_the_literature_are_an_option_away(hidden: list[int], count: int) -> None:
    assert parameters(on_paper.network("mlp", 10, 1, 28, hidden=hidden)) == count


@pytest.mark.parametrize(
    ("name", "image_size", "options", "count"),
    [
        ("alexnet", 224, {}, 60_965_224),
        ("alexnet", 227, {"groups": 1}, 62_378_344),  # the figure that is often quoted
        # the paper's own: kernels of 5 x 5, biases, no batch norm; without and with its two heads
        ("googlenet", 224, {"norm": "response", "auxiliary": False}, 6_998_552),
        ("googlenet", 224, {"norm": "response"}, 13_378_280),
        ("googlenet", 224, {"auxiliary": False}, 7_005_832),
        ("googlenet_3x3", 224, {"auxiliary": False}, 6_624_904),
        ("vgg11", 224, {"norm": "batch"}, 132_868_840),
        ("resnet50", 224, {"halve": "1x1"}, 25_557_032),
    ],
)
def test_options_give_the_networks_of_other_papers_and_readings(
    name: str, image_size: int, options: dict[str, Any], count: int
) -> None:
    assert parameters(on_paper.network(name, 1000, 3, image_size, **options)) == count


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("alexnet", {"groups": 1}, 58_322_314),
        ("googlenet", {"auxiliary": False}, 5_991_082),
        ("googlenet_3x3", {"auxiliary": False}, 5_610_154),
    ],
)
def test_for_ten_classes_other_readings_have_their_counts_too(
    name: str, options: dict[str, Any], count: int
) -> None:
    assert parameters(on_paper.network(name, 10, 3, 224, **options)) == count


def test_lenet5_has_the_layers_of_the_paper() -> None:
    counts = {n: parameters(m) for n, m in on_paper.network("lenet5", 10, 1, 32).named_children()}
    assert (counts["c1"], counts["c5"], counts["f6"]) == (156, 48_120, 10_164)


def test_what_lenet5_departs_in_makes_the_difference_to_the_60_000_of_the_paper() -> None:
    """Its C3 sees every map, its averages learn nothing, its outputs are no fixed functions."""
    network = on_paper.network("lenet5", 10, 1, 32)
    c3, output = (parameters(network.get_submodule(part)) for part in ("c3", "output"))
    in_the_paper = {"S2": 2 * 6, "C3": 6 * 76 + 9 * 101 + 151, "S4": 2 * 16}
    assert in_the_paper["C3"] == 1516
    assert parameters(network) - c3 - output + sum(in_the_paper.values()) == 60_000


def test_inceptions_have_the_weights_of_table_1_where_it_is_right() -> None:
    """In units of 1024, without biases; its 4c, 5a and first convolution are misprints."""
    network = on_paper.network("googlenet", 1000, 3, 224)

    def thousands(*parts: str) -> float:
        found = (network.get_submodule(part).modules() for part in parts)
        convolutions = (m for ms in found for m in ms if isinstance(m, nn.Conv2d))
        return sum(one.weight.numel() for one in convolutions) / 1024

    assert thousands("conv2", "conv3") == 112
    assert [thousands(f"inception{row}") for row in ("3a", "3b")] == [159.5, 379]
    assert [thousands(f"inception{row}") for row in ("4c", "5a")] == [497.5, 1018]
    assert thousands("conv1") * 1024 == 9_408


@pytest.mark.parametrize("name", ["alexnet", "alexnet_owt", "zfnet"])
def test_the_small_head_is_small(name: str) -> None:
    head = on_paper.network(name, 10, 1, 32).get_submodule("classifier")
    assert parameters(head) <= 2_500_000
