"""What the papers and the known tables say that a forward pass costs."""

from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from convoy.evaluation.cost import multiply_adds
from tests.architectures import on_paper


def millions(name: str, classes: int, channels: int, side: int, **options: Any) -> float:
    network = on_paper.network(name, classes, channels, side, **options)
    return multiply_adds(network, on_paper.images(channels, side)) / 1e6


@pytest.mark.parametrize(
    ("name", "image_size", "options", "billions"),
    [
        ("alexnet", 227, {}, 0.724),
        ("alexnet", 227, {"groups": 1}, 1.135),
        ("alexnet_owt", 224, {}, 0.714),
        ("zfnet", 224, {}, 1.168),
        ("vgg11", 224, {}, 7.609),
        ("vgg11_bn", 224, {}, 7.609),
        ("vgg13", 224, {}, 11.308),
        ("vgg13_bn", 224, {}, 11.308),
        ("vgg16", 224, {}, 15.470),
        ("vgg16_bn", 224, {}, 15.470),
        ("vgg19", 224, {}, 19.632),
        ("vgg19_bn", 224, {}, 19.632),
        ("googlenet", 224, {}, 1.583),
        ("googlenet", 224, {"norm": "response"}, 1.583),
        ("googlenet_3x3", 224, {}, 1.498),
        ("resnet18", 224, {}, 1.814),
        ("resnet34", 224, {}, 3.664),
        ("resnet50", 224, {}, 4.089),
        ("resnet101", 224, {}, 7.801),
        ("resnet152", 224, {}, 11.514),
        ("resnet50", 224, {"halve": "1x1"}, 3.858),  # as the paper has it
        ("resnet101", 224, {"halve": "1x1"}, 7.570),
        ("resnet152", 224, {"halve": "1x1"}, 11.282),
    ],
)
def test_multiply_adds_for_imagenet_are_the_known_ones(
    name: str, image_size: int, options: dict[str, Any], billions: float
) -> None:
    assert millions(name, 1000, 3, image_size, **options) / 1e3 == pytest.approx(
        billions, abs=0.0006
    )


@pytest.mark.parametrize(
    ("name", "channels", "known"),
    [
        ("lenet5", 1, 0.42),
        ("mlp", 3, 1.84),
        ("vgg11_bn", 3, 153),
        ("vgg13_bn", 3, 228),
        ("vgg16_bn", 3, 313),
        ("vgg19_bn", 3, 398),
        ("resnet18", 3, 555),
        ("resnet34", 3, 1_159),
        ("resnet50", 3, 1_298),
        ("resnet101", 3, 2_510),
        ("resnet152", 3, 3_722),
        ("resnet20", 3, 40.6),
        ("resnet32", 3, 68.9),
        ("resnet44", 3, 97.2),
        ("resnet56", 3, 125.5),
        ("resnet110", 3, 252.9),
    ],
)
def test_multiply_adds_at_32_pixels_are_the_known_ones(
    name: str, channels: int, known: float
) -> None:
    digits = len(str(known).partition(".")[2])
    assert round(millions(name, 10, channels, 32), digits) == pytest.approx(known)


@pytest.mark.parametrize(("hidden", "known"), [([512, 512], 0.67), ([256, 128, 64], 0.24)])
def test_multiply_adds_of_perceptrons_are_the_known_ones(hidden: list[int], known: float) -> None:
    assert round(millions("mlp", 10, 1, 28, hidden=hidden), 2) == known


def test_training_pays_for_the_auxiliary_heads_too() -> None:
    network = on_paper.network("googlenet_3x3", 1000, 3, 224).train()
    with FlopCounterMode(display=False) as counter:
        network(on_paper.images(3, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(1.507, abs=0.0006)


@pytest.mark.parametrize(
    ("name", "at_most"), [("alexnet", 45), ("alexnet_owt", 45), ("zfnet", 45), ("googlenet", 60)]
)
def test_small_images_are_cheap_enough_for_a_processor(name: str, at_most: float) -> None:
    assert millions(name, 10, 1, 32) <= at_most
