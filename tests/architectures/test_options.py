"""What a recipe may choose of a network does what it says; anything else is refused."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convoy.architectures import build, check_options, describe, names
from convoy.architectures.layers import ResponseNorm
from convoy.architectures.options import offered
from convoy.errors import UsageError
from tests.architectures import on_paper
from tests.architectures.on_paper import KINDS, parameters

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
SIZES = (32, 224)


def network(name: str, image_size: int = 224, **options: Any) -> nn.Module:
    return on_paper.network(name, 10, 3, image_size, **options)


def kinds(module: nn.Module, *wanted: type[nn.Module]) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, wanted)]


def having(option: str) -> list[str]:
    return [name for name in KINDS if option in offered(describe(name).network)]


def test_every_network_offers_what_its_paper_argues_about() -> None:
    found = {name: set(offered(describe(name).network)) for name in names()}
    every = {"activation", "dropout", "width"}
    pooled = every | {"pool"}
    assert found["mlp"] == every | {"hidden", "batch_norm"}
    assert found["lenet5"] == pooled | {"padding", "batch_norm"}
    assert found["alexnet"] == pooled | {"norm", "groups"}
    assert found["alexnet_owt"] == pooled | {"batch_norm"}
    assert found["zfnet"] == pooled | {"norm"}
    assert found["googlenet"] == found["googlenet_3x3"] == pooled | {"norm", "auxiliary"}
    for depth in (11, 13, 16, 19):
        assert found[f"vgg{depth}"] == pooled | {"padding", "norm"}
        assert found[f"vgg{depth}_bn"] == pooled | {"padding"}, "batch norm is what it is"
    for depth in (18, 34, 20, 32, 44, 56, 110):
        assert found[f"resnet{depth}"] == every | {"shortcut", "batch_norm"}
    for depth in (50, 101, 152):
        assert found[f"resnet{depth}"] == every | {"shortcut", "batch_norm", "halve"}


@pytest.mark.parametrize("image_size", SIZES)
@pytest.mark.parametrize("name", KINDS)
def test_every_choice_of_every_option_gives_a_network_that_works(
    name: str, image_size: int
) -> None:
    choices: dict[str, list[Any]] = {
        "pool": ["max", "average"],
        "padding": ["same", "valid"],
        "activation": list(ACTIVATIONS),
        "norm": ["none", "response", "batch"],
        "batch_norm": [True, False],
        "dropout": [0, 0.3],
        "width": [0.25, 2],
        "shortcut": ["A", "B", "C"],
        "halve": ["3x3", "1x1"],
        "groups": [1, 2],
        "hidden": [[7], [5, 4, 3]],
        "auxiliary": [True, False],
    }
    for option in offered(describe(name).network):
        for choice in choices[option]:
            side = 300 if choice == "valid" else image_size  # VGG has to be large for it
            built = network(name, side, **{option: choice})
            assert built(on_paper.images(3, side, 2)).shape == (2, 10)


@pytest.mark.parametrize("image_size", SIZES)
@pytest.mark.parametrize("name", having("pool"))
def test_pool_replaces_every_maximum_by_an_average(name: str, image_size: int) -> None:
    maxima = (nn.MaxPool2d, nn.AdaptiveMaxPool2d)
    assert kinds(network(name, image_size, pool="max"), *maxima)
    averaging = network(name, image_size, pool="average")
    assert not kinds(averaging, *maxima)
    batch = on_paper.images(3, image_size)
    before = on_paper.shapes(network(name, image_size, pool="max"), batch)
    assert on_paper.shapes(averaging, batch) == before, "no map changes its size"


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("name", having("activation"))
def test_activation_replaces_every_one(name: str, kind: str) -> None:
    found = {type(part) for part in kinds(network(name, activation=kind), *ACTIVATIONS.values())}
    assert found == {ACTIVATIONS[kind]}


@pytest.mark.parametrize("name", having("batch_norm"))
def test_batch_norm_follows_every_convolution_or_none(name: str) -> None:
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    on, off = network(name, batch_norm=True), network(name, batch_norm=False)
    assert not kinds(off, *norms)
    weighed = len(kinds(on, nn.Conv2d))
    fully_connected = len(kinds(on, nn.Linear))
    # LeNet-5's C5 works on a single pixel: one value a map would be normalised over the batch alone
    expected = {"mlp": fully_connected - 1, "lenet5": weighed - 1}.get(name, weighed)
    assert len(kinds(on, *norms)) == expected
    if name.startswith("resnet"):
        biased = {part.bias is not None for part in off.modules() if isinstance(part, nn.Conv2d)}
        assert biased == {True}, "batch norm had the bias"


@pytest.mark.parametrize(
    ("name", "responses", "batches"),
    [("alexnet", 2, 5), ("zfnet", 2, 5), ("googlenet", 2, 59), ("vgg11", 1, 8)],
)
def test_norm_is_none_or_the_response_or_the_batch(name: str, responses: int, batches: int) -> None:
    found = {
        norm: [
            len(kinds(network(name, norm=norm), kind)) for kind in (ResponseNorm, nn.BatchNorm2d)
        ]
        for norm in ("none", "response", "batch")
    }
    assert found == {"none": [0, 0], "response": [responses, 0], "batch": [0, batches]}


@pytest.mark.parametrize("image_size", SIZES)
@pytest.mark.parametrize("name", having("dropout"))
def test_dropout_is_the_share_that_training_leaves_out(name: str, image_size: int) -> None:
    def shares(**options: float) -> set[float]:
        built = network(name, image_size, **options)
        found = kinds(built, nn.Dropout)
        return {d.p for d in found if isinstance(d, nn.Dropout)} - {0.0, 0.7}

    assert shares(dropout=0.25) == {0.25}
    assert shares(dropout=0) == set()
    default = {"googlenet": {0.4}, "googlenet_3x3": {0.2}}.get(name, set())
    if image_size == 224 and name.startswith(("alexnet", "zfnet", "vgg")):
        default = {0.5}
    assert shares() == default


@pytest.mark.parametrize("name", having("width"))
def test_width_multiplies_every_convolution(name: str) -> None:
    def outputs(width: float) -> list[int]:
        found = list(network(name, width=width).modules())
        channels = [part.out_channels for part in found if isinstance(part, nn.Conv2d)]
        units = [part.out_features for part in found if isinstance(part, nn.Linear)]
        return [count for count in channels + units if count != 10]  # the classes stay

    assert outputs(2) == [2 * count for count in outputs(1)] != []


def test_a_width_keeps_channels_that_groups_can_share() -> None:
    for width in (0.1, 0.33, 0.77, 1.5):
        network("alexnet", width=width)
    assert parameters(network("mlp", width=0.0001)) > 0, "one unit at least"


def test_shortcuts_are_padded_projected_where_needed_or_projected_everywhere() -> None:
    def projections(name: str, shortcut: str) -> int:
        built = network(name, 32, shortcut=shortcut)
        return sum(key.endswith("downsample.0.weight") for key in built.state_dict())

    assert [projections("resnet20", kind) for kind in "ABC"] == [0, 2, 9]
    assert [projections("resnet50", kind) for kind in "ABC"] == [0, 4, 16]


def test_halve_says_which_convolution_of_a_bottleneck_has_the_stride() -> None:
    def strides(**options: Any) -> list[tuple[int, ...]]:
        first = network("resnet50", **options).get_submodule("layer2.0")
        return [part.stride for part in first.modules() if isinstance(part, nn.Conv2d)]

    shortcut = (2, 2)
    assert strides() == strides(halve="3x3") == [(1, 1), (2, 2), (1, 1), shortcut]
    assert strides(halve="1x1") == [(2, 2), (1, 1), (1, 1), shortcut]


def test_hidden_layers_are_those_that_are_named() -> None:
    linear = [p for p in network("mlp", hidden=[9, 8, 7]).modules() if isinstance(p, nn.Linear)]
    assert [layer.out_features for layer in linear] == [9, 8, 7, 10]


def test_an_average_counts_the_pixels_of_the_image_alone() -> None:
    """Zeros around it would darken the border."""
    pooling = build(
        "zfnet", num_classes=2, in_channels=1, image_size=32, options={"pool": "average"}
    ).get_submodule("features.2")
    ones = torch.ones(1, 1, 16, 16)
    pooled: Tensor = pooling(ones)
    assert torch.equal(pooled, torch.ones_like(pooled))


@pytest.mark.parametrize(
    ("name", "chosen", "said"),
    [
        ("lenet5", {"pol": "max"}, "lenet5 has no option 'pol': did you mean 'pool'?"),
        ("resnet18", {"halve": "1x1"}, "resnet18 has no option 'halve': known are activation, "),
        ("vgg11_bn", {"norm": "none"}, "vgg11_bn has no option 'norm': "),
        ("mlp", {"num_classes": 3}, "mlp has no option 'num_classes': "),
        ("mlp", {"pool": "max"}, "mlp has no option 'pool': "),
        ("lenet5", {"pool": "mean"}, "'pool' is 'mean': it may be max or average."),
        ("lenet5", {"batch_norm": "yes"}, "'batch_norm' is 'yes': it may be true or false."),
        ("lenet5", {"batch_norm": 1}, "'batch_norm' is 1: it may be true or false."),
        ("alexnet", {"groups": 3}, "'groups' is 3: it may be 1 or 2."),
        ("alexnet", {"dropout": 1.0}, "is 1.0: it may be at least 0 and less than 1."),
        ("mlp", {"dropout": -0.1}, "is -0.1: it may be at least 0 and less than 1."),
        ("mlp", {"width": 0}, "is 0: it may be more than 0 and at most 8."),
        ("mlp", {"width": float("nan")}, "is nan: it may be more than 0 and at most 8."),
        ("mlp", {"width": True}, "is True: it may be more than 0 and at most 8."),
        ("mlp", {"hidden": []}, "is []: it may be a list of numbers, each at least 1."),
        ("mlp", {"hidden": [0]}, "is [0]: it may be a list of numbers, each at least 1."),
        ("mlp", {"hidden": 300}, "is 300: it may be a list of numbers, each at least 1."),
        ("resnet50", {"shortcut": "D"}, "'shortcut' is 'D': it may be A or B or C."),
    ],
)
def test_what_a_network_does_not_have_or_take_is_refused(
    name: str, chosen: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(name, chosen)
    assert said in str(caught.value) and str(caught.value).startswith(name)
    with pytest.raises(UsageError):
        build(name, num_classes=10, in_channels=1, image_size=32, options=chosen)


def test_no_choice_is_no_argument() -> None:
    assert check_options("mlp", {}) == {}
    assert check_options("mlp", {"hidden": [3, 2], "width": 2}) == {"hidden": (3, 2), "width": 2}


def test_what_a_variant_fixes_is_no_option() -> None:
    class Toy(nn.Module):
        def __init__(self, *, num_classes: int, deep: bool = True, wide: bool = False) -> None:
            super().__init__()

    assert set(offered(Toy)) == {"deep", "wide"}
    assert set(offered(partial(Toy, deep=False))) == {"wide"}


@pytest.mark.parametrize(("name", "smallest"), [("vgg11", 150), ("vgg16", 212), ("vgg19_bn", 268)])
def test_vgg_without_padding_says_what_it_can_take(name: str, smallest: int) -> None:
    assert network(name, smallest, padding="valid")(on_paper.images(3, smallest)).shape == (1, 10)
    with pytest.raises(UsageError, match=rf"images of {smallest - 1} .* image_size is {smallest}"):
        network(name, smallest - 1, padding="valid")
