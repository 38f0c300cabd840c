"""Every network learns: gradients reach all of it, and it can know one batch by heart."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convoy.architectures import build, describe, names
from convoy.architectures.googlenet import Outputs

QUICK = (
    *("mlp", "lenet5", "alexnet", "alexnet_owt", "zfnet", "vgg11_bn"),
    *("googlenet", "googlenet_3x3", "resnet20", "resnet18"),
)
LONG = ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet50", "resnet101", "resnet152")
"""What the others of their families have too, only deeper."""


def _marked(name: str) -> object:
    mark = pytest.mark.soak if name in LONG else pytest.mark.slow
    return name if name in QUICK else pytest.param(name, marks=mark)


EVERY = [_marked(name) for name in names()]
TABLE_1 = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
WIDTH = 0.25
"""Of networks with millions of parameters: a quarter of their channels is enough to learn this."""


def network(name: str, image_size: int = 32, **options: object) -> nn.Module:
    torch.manual_seed(0)
    wide = name.startswith(("alexnet", "vgg", "zfnet", "googlenet")) or name in TABLE_1
    chosen = {"width": WIDTH, **options} if wide else options
    return build(name, num_classes=4, in_channels=1, image_size=image_size, options=chosen).train()


def a_batch(size: int = 16, image_size: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 1, image_size, image_size, generator=generator)
    return images, torch.arange(size) % 4


def logits_of(outputs: Tensor | Outputs) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else outputs.logits


def training_loss(name: str, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return describe(name).loss(network(images), labels, F.cross_entropy)


def unlearnt(name: str, network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many of the images are not known by heart after at most 200 steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(200):
        loss = training_loss(name, network, images, labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        with torch.no_grad():
            wrong = int((logits_of(network(images)).argmax(1) != labels).sum())
        if wrong == 0:
            break
    return wrong


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    learning = network(name)
    torch.autograd.backward(training_loss(name, learning, *a_batch()))
    unreached = [
        key
        for key, weight in learning.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert unreached == []


@pytest.mark.parametrize("name", EVERY)
def test_a_network_overfits_one_batch(name: str) -> None:
    assert unlearnt(name, network(name), *a_batch()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "zfnet", "vgg11_bn", "googlenet", "resnet50"),
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("alexnet_owt", "vgg11")),
    ],
)
def test_the_form_for_large_images_overfits_one_batch_too(name: str) -> None:
    learning = network(name, 64, dropout=0)
    assert unlearnt(name, learning, *a_batch(8, 64)) == 0


@pytest.mark.parametrize("name", QUICK)
def test_a_batch_of_one_image_trains(name: str) -> None:
    loss = training_loss(name, network(name), *a_batch(1))
    torch.autograd.backward(loss)
    assert loss.isfinite()


@pytest.mark.parametrize("name", QUICK)
def test_the_first_loss_is_near_that_of_a_guess(name: str) -> None:
    images, labels = a_batch(64)
    loss = F.cross_entropy(logits_of(network(name)(images)), labels)
    assert 1.1 < loss.item() < 2.4  # a guess: ln(4) = 1.4
