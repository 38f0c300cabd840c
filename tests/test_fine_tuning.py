"""Training on from published weights: rates by depth, what is frozen until when, normalisation."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures import build, describe, names
from convoy.errors import UsageError
from convoy.fine_tuning import (
    TIERS,
    check,
    freeze,
    is_frozen,
    normalisation,
    parameter_groups,
)
from convoy.recipe import Weights

PUBLISHED = tuple(name for name in names() if describe(name).weights)
RATE = 0.1


def weights(frozen: float = 0.0, rate: float = RATE) -> Weights:
    told: dict[str, Any] = {"from": "w.pth", "sha256": "0" * 64, "frozen": frozen, "rate": rate}
    return Weights.model_validate(told)


def network(name: str, device: str = "cpu") -> nn.Module:
    torch.manual_seed(0)
    with torch.device(device):
        return build(
            name, num_classes=4, in_channels=3, image_size=64, options={"width": 0.125}
        ).train()


def a_step(name: str, learning: nn.Module) -> dict[str, Tensor]:
    """Take one optimizer step; return the state before it."""
    before = {key: value.clone() for key, value in learning.state_dict().items()}
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    groups = parameter_groups(learning, name, weights(), learning_rate=0.1)
    steps = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01)
    loss = describe(name).loss(learning(images), labels, F.cross_entropy)
    torch.autograd.backward(loss)
    steps.step()
    return before


def changed(learning: nn.Module, before: dict[str, Tensor]) -> set[str]:
    after = learning.state_dict()
    return {key for key, value in before.items() if not torch.equal(after[key], value)}


def tiers(name: str) -> int:
    return 7 if name == "alexnet_owt" else TIERS  # it has no more layers below its head


def keys_of(learning: nn.Module, group: dict[str, Any]) -> list[str]:
    names = {id(parameter): key for key, parameter in learning.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_parameter_is_in_one_group(name: str) -> None:
    learning = network(name, "meta")
    groups = parameter_groups(learning, name, weights(), 1.0)
    found = [key for group in groups for key in keys_of(learning, group)]
    assert sorted(found) == sorted(key for key, _ in learning.named_parameters())
    assert len(groups) == tiers(name) + 1
    assert all(group["params"] for group in groups)


@pytest.mark.parametrize("name", PUBLISHED)
def test_rates_grow_geometrically_from_the_first_layer_to_the_heads(name: str) -> None:
    learning = network(name, "meta")
    groups = parameter_groups(learning, name, weights(), learning_rate=0.02)
    rates = [group["lr"] for group in groups]
    assert rates[0] == pytest.approx(0.02 * RATE)
    assert rates[-1] == 0.02
    ratios = [later / earlier for earlier, later in pairwise(rates)]
    assert ratios == pytest.approx([RATE ** (-1 / tiers(name))] * tiers(name))
    heads = describe(name).weights
    assert heads is not None
    expected = {f"{head}.{kind}" for head in heads.heads for kind in ("weight", "bias")}
    assert set(keys_of(learning, groups[-1])) == expected
    assert keys_of(learning, groups[0])[0] == next(iter(learning.state_dict()))


def test_what_follows_a_convolution_learns_as_fast_as_it() -> None:
    learning = network("resnet18", "meta")
    groups = parameter_groups(learning, "resnet18", weights(), 1.0)
    where = {key: i for i, group in enumerate(groups) for key in keys_of(learning, group)}
    assert where["conv1.weight"] == where["bn1.weight"] == where["bn1.bias"] == 0
    for key in where:
        if key.endswith("bn2.weight"):
            assert where[key] == where[key.replace("bn2", "conv2")]
    ordered = [where[f"layer{stage}.0.conv1.weight"] for stage in (1, 2, 3, 4)]
    assert ordered == sorted(ordered) and ordered[0] < ordered[-1] < TIERS


def test_tiers_hold_as_many_layers_each_as_can_be() -> None:
    learning = network("vgg16", "meta")
    groups = parameter_groups(learning, "vgg16", weights(), 1.0)
    layers = [sum(key.endswith("weight") for key in keys_of(learning, group)) for group in groups]
    assert layers == [2, 2, 2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("chosen", [None, weights(rate=1.0)])
def test_without_a_smaller_rate_there_is_one_group(chosen: Weights | None) -> None:
    learning = network("resnet18", "meta")
    (group,) = parameter_groups(learning, "resnet18", chosen, 0.3)
    assert group["lr"] == 0.3
    assert keys_of(learning, group) == [key for key, _ in learning.named_parameters()]
    assert parameter_groups(network("resnet18"), "lenet5", None, 0.3), "needs no published weights"


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("resnet18", {"fc"}),
        ("vgg11_bn", {"classifier.6"}),
        ("googlenet_3x3", {"fc", "aux1.fc2", "aux2.fc2"}),
    ],
)
def test_frozen_only_the_heads_learn_and_no_statistic_moves(name: str, heads: set[str]) -> None:
    learning = network(name)
    freeze(learning, name, frozen=True)
    before = a_step(name, learning)
    assert {key.rpartition(".")[0] for key in changed(learning, before)} == heads


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "googlenet_3x3"])
def test_unfrozen_everything_learns_again(name: str) -> None:
    learning = network(name)
    freeze(learning, name, frozen=True)
    a_step(name, learning)
    freeze(learning, name, frozen=False)
    before = a_step(name, learning)
    assert changed(learning, before) == set(before)


def test_frozen_layers_get_no_gradient_and_their_dropout_goes_on() -> None:
    learning = network("vgg11_bn")
    freeze(learning, "vgg11_bn", frozen=True)
    modes = {type(part): part.training for part in learning.modules()}
    assert modes[nn.Dropout] and modes[nn.Conv2d] and not modes[nn.BatchNorm2d]
    a_step("vgg11_bn", learning)
    with_gradient = {key for key, p in learning.named_parameters() if p.grad is not None}
    assert with_gradient == {"classifier.6.weight", "classifier.6.bias"}


@pytest.mark.parametrize(
    ("share", "epochs", "frozen"),
    [(0.0, 5, 0), (1.0, 5, 5), (0.5, 4, 2), (0.1, 30, 3), (0.3, 10, 3), (0.34, 3, 1), (0.1, 4, 0)],
)
def test_the_first_epochs_are_frozen_to_the_nearest_whole_one(
    share: float, epochs: int, frozen: int
) -> None:
    found = [is_frozen(weights(frozen=share), epoch, epochs) for epoch in range(epochs)]
    assert found == [True] * frozen + [False] * (epochs - frozen)


def test_nothing_is_frozen_without_published_weights() -> None:
    assert not is_frozen(None, 0, 10)


def test_normalisation_follows_the_weights() -> None:
    own = [10.0, 20.0, 30.0], [1.0, 2.0, 3.0]
    assert normalisation("resnet18", None, *own) == own
    imagenet = normalisation("resnet18", weights(), *own)
    assert [round(m / 255, 3) for m in imagenet.mean] == [0.485, 0.456, 0.406]
    assert [round(s / 255, 3) for s in imagenet.std] == [0.229, 0.224, 0.225]


def test_normalisation_of_googlenet_is_what_torchvision_turns_its_input_into() -> None:
    """`transform_input` of torchvision's `googlenet.py`, on images normalised as all its others."""
    level = torch.tensor([0.0, 100.0, 255.0])
    found = normalisation("googlenet_3x3", weights(), [0.0] * 3, [1.0] * 3)
    usual = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]
    for channel, (mean, std) in enumerate(usual):
        normalised = (level / 255 - mean) / std
        transformed = normalised * (std / 0.5) + (mean - 0.5) / 0.5
        ours = (level - found.mean[channel]) / found.std[channel]
        torch.testing.assert_close(ours, transformed, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "channels", "side", "said"),
    [
        ("lenet5", "rgb", 224, "no weights are published for lenet5: "),
        ("googlenet", "rgb", 224, "for googlenet: did you mean 'googlenet_3x3'?"),
        ("resnet18", "gray", 224, "of resnet18 are for RGB images, not gray: set the dataset's"),
        ("resnet18", "hsv", 224, "are for RGB images, not hsv"),
        ("resnet18", "rgb", 32, "are for images of 64 pixels or more, not 32: set the dataset's"),
    ],
)
def test_images_that_published_weights_do_not_know_are_refused(
    name: str, channels: str, side: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(name, channels, side)
    assert said in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_that_published_weights_know_are_fine(name: str) -> None:
    check(name, "rgb", 64)
