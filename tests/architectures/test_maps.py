"""Every map between the layers has the channels and the side that the paper gives it."""

from typing import Any

import pytest

from tests.architectures import on_paper

Maps = list[tuple[int, int]]

LENET: Maps = [(6, 28), (6, 14), (16, 10), (16, 5), (120, 1)]
ALEXNET: Maps = [(96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (256, 13), (256, 6)]
ALEXNET_OWT: Maps = [(64, 55), (64, 27), (192, 27), (192, 13), (384, 13), (256, 13), (256, 6)]
ZFNET: Maps = [(96, 110), (96, 55), (256, 26), (256, 13), (384, 13), (256, 13), (256, 6)]

VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512, 512)
VGG: Maps = list(zip(VGG_CHANNELS, (224, 112, 112, 56, 56, 28, 28, 14, 7), strict=True))
SMALL_VGG: Maps = list(zip(VGG_CHANNELS, (32, 16, 16, 8, 8, 4, 4, 2, 1), strict=True))


@pytest.mark.parametrize(
    ("name", "image_size", "expected"),
    [
        ("lenet5", 32, LENET),
        ("alexnet", 227, ALEXNET),
        ("alexnet", 224, ALEXNET),
        ("alexnet", 32, [(96, 16), (96, 7), (256, 7), (256, 3), (384, 3), (256, 3)]),
        ("alexnet_owt", 224, ALEXNET_OWT),
        ("alexnet_owt", 32, [(64, 16), (64, 7), (192, 7), (192, 3), (384, 3), (256, 3)]),
        ("zfnet", 224, ZFNET),
        ("zfnet", 32, [(96, 16), (96, 8), (256, 3), (384, 3), (256, 3)]),
        *((name, 224, VGG) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
        *((f"{name}_bn", 224, VGG) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
        *((f"{name}_bn", 32, SMALL_VGG) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
    ],
)
def test_maps_down_to_the_head_are_those_of_the_paper(
    name: str, image_size: int, expected: Maps
) -> None:
    channels = 1 if name == "lenet5" else 3
    network = on_paper.network(name, 10, channels, image_size)
    assert on_paper.maps(network, on_paper.images(channels, image_size)) == expected


GOOGLENET = {
    "conv1": (64, 112),
    "pool1": (64, 56),
    "conv2": (64, 56),
    "conv3": (192, 56),
    "pool2": (192, 28),
    "inception3a": (256, 28),
    "inception3b": (480, 28),
    "pool3": (480, 14),
    "inception4a": (512, 14),
    "inception4b": (512, 14),
    "inception4c": (512, 14),
    "inception4d": (528, 14),
    "inception4e": (832, 14),
    "pool4": (832, 7),
    "inception5a": (832, 7),
    "inception5b": (1024, 7),
}
SMALL_GOOGLENET = [13, 6, 6, 6, 6, 6, 6, 3, 3, 3, 3, 3, 3, 2, 2, 2]


@pytest.mark.parametrize("name", ["googlenet", "googlenet_3x3"])
def test_maps_of_googlenet_are_those_of_table_1(name: str) -> None:
    found = on_paper.shapes(on_paper.network(name, 10, 3, 224), on_paper.images(3, 224))
    assert {part: found[part][:2] for part in GOOGLENET} == GOOGLENET
    small = on_paper.shapes(on_paper.network(name, 10, 3, 32), on_paper.images(3, 32))
    expected = zip(GOOGLENET, GOOGLENET.values(), SMALL_GOOGLENET, strict=True)
    assert {part: small[part][:2] for part in GOOGLENET} == {
        part: (channels, side) for part, (channels, _), side in expected
    }


RESNET_SIDES = {
    224: {"conv1": 112, "maxpool": 56, "layer1": 56, "layer2": 28, "layer3": 14, "layer4": 7},
    32: {"conv1": 32, "maxpool": 32, "layer1": 32, "layer2": 16, "layer3": 8, "layer4": 4},
}


@pytest.mark.parametrize("image_size", [224, 32])
@pytest.mark.parametrize(
    ("name", "expansion"),
    [("resnet18", 1), ("resnet34", 1), ("resnet50", 4), ("resnet101", 4), ("resnet152", 4)],
)
def test_maps_of_a_resnet_are_those_of_table_1(name: str, expansion: int, image_size: int) -> None:
    network = on_paper.network(name, 10, 3, image_size)
    found = on_paper.shapes(network, on_paper.images(3, image_size))
    channels = [64, 64, *(expansion * c for c in (64, 128, 256, 512))]
    sides = RESNET_SIDES[image_size]
    expected = dict(zip(sides, zip(channels, sides.values(), strict=True), strict=True))
    assert {part: found[part][:2] for part in sides} == expected


@pytest.mark.parametrize("n", [3, 5, 7, 9, 18])
def test_a_small_resnet_has_6n_plus_2_layers_on_maps_of_section_4_2(n: int) -> None:
    network = on_paper.network(f"resnet{6 * n + 2}", 10, 3, 32)
    assert on_paper.maps(network, on_paper.images(3, 32)) == [(16, 32), (32, 16), (64, 8)]
    found = on_paper.shapes(network, on_paper.images(3, 32))
    weighed = [part for part in found if part.endswith(("conv1", "conv2", "fc"))]
    assert len(weighed) == 6 * n + 2


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("lenet5", {"padding": "same"}, [(6, 32), (6, 16), (16, 16), (16, 5), (120, 1)]),
        ("lenet5", {"width": 2}, [(12, 28), (12, 14), (32, 10), (32, 5), (240, 1)]),
        ("alexnet", {"width": 0.5}, [(48, 16), (48, 7), (128, 7), (128, 3), (192, 3), (128, 3)]),
        ("zfnet", {"width": 0.5}, [(48, 16), (48, 8), (128, 3), (192, 3), (128, 3)]),
        ("resnet20", {"width": 2}, [(32, 32), (64, 16), (128, 8)]),
    ],
)
def test_options_alter_the_maps_as_they_say(
    name: str, options: dict[str, Any], expected: Maps
) -> None:
    network = on_paper.network(name, 10, 1, 32, **options)
    assert on_paper.maps(network, on_paper.images(1, 32)) == expected


def test_vgg_without_padding_loses_two_pixels_a_convolution() -> None:
    network = on_paper.network("vgg11", 10, 3, 224, padding="valid")
    sides = [side for _, side in on_paper.maps(network, on_paper.images(3, 224))]
    assert sides == [222, 111, 109, 54, 52, 50, 25, 23, 21, 10, 8, 6, 3, 7]
