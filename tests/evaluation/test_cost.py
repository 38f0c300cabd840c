"""The costs against counts made by hand."""

import pytest
import torch
from torch import nn

from convoy.architectures import build
from convoy.evaluation.cost import (
    activation_bytes,
    cost_on_paper,
    multiply_adds,
    parameters,
)


def toy() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),  # N x 8 x 16 x 16
        nn.BatchNorm2d(8),
        nn.LocalResponseNorm(5),
        nn.ReLU(),
        nn.Conv2d(8, 8, kernel_size=5, padding=2, groups=2),  # N x 8 x 16 x 16
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(32, 10),
    )


BY_HAND = 8 * 16 * 16 * (3 * 3 * 3) + 8 * 16 * 16 * (4 * 5 * 5) + 32 * 10


def test_parameters_are_weights_and_biases_but_no_running_statistics() -> None:
    assert parameters(toy()) == (8 * 27 + 8) + (8 + 8) + (8 * 4 * 25 + 8) + (32 * 10 + 10)


def test_a_shared_parameter_counts_once_and_a_frozen_one_too() -> None:
    layer = nn.Linear(4, 4).requires_grad_(False)
    assert parameters(nn.Sequential(layer, nn.ReLU(), layer)) == 20


def test_a_linear_layer_multiplies_and_adds_once_a_weight() -> None:
    assert multiply_adds(nn.Linear(7, 5), torch.zeros(1, 7)) == 35


@pytest.mark.parametrize("images", [1, 4])
def test_multiply_adds_are_those_of_one_image(images: int) -> None:
    assert multiply_adds(toy(), torch.zeros(images, 3, 32, 32)) == BY_HAND


def test_multiply_adds_need_no_memory_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = toy()
    assert multiply_adds(network, torch.zeros(1, 3, 32, 32)) == BY_HAND


def test_counting_leaves_the_network_as_it_was() -> None:
    network = toy()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    multiply_adds(network, torch.randn(2, 3, 32, 32))
    assert [layer.training for layer in list(network)[:3]] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, padding=1),  # keeps its input
        nn.ReLU(inplace=True),  # keeps its output, in the storage of the convolution's
        nn.Flatten(),  # another view of it
        nn.Linear(8 * 4 * 4, 10),  # keeps its input, the same again
        nn.Tanh(),  # keeps its output
    )


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("count", [2, 5])
def test_a_training_step_keeps_each_storage_once(count: int, device: str) -> None:
    network = layers().to(device)
    images = torch.zeros(count, 3, 4, 4)
    assert activation_bytes(network, images) == 4 * (3 * 4 * 4 + 8 * 4 * 4 + 10)


def test_what_works_in_place_keeps_less() -> None:
    apart = layers()
    apart[1] = nn.Tanh()
    apart[4] = nn.Identity()
    with_relu = layers()
    with_relu[4] = nn.Identity()
    images = torch.zeros(2, 3, 4, 4)
    assert activation_bytes(apart, images) == activation_bytes(with_relu, images)
    with_relu[1] = nn.GELU()  # keeps its input, and the matrix its output
    assert activation_bytes(with_relu, images) == 4 * (3 * 4 * 4 + 2 * 8 * 4 * 4)


def test_frozen_layers_keep_nothing() -> None:
    network = layers().requires_grad_(False)
    assert activation_bytes(network, torch.zeros(2, 3, 4, 4)) == 0


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "googlenet", "alexnet"])
def test_shapes_alone_say_what_a_real_step_keeps(name: str) -> None:
    found = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            network = build(name, num_classes=10, in_channels=3, image_size=32)
        found.append(activation_bytes(network, torch.zeros(2, 3, 32, 32)))
    assert found[0] == found[1]


def test_keeping_activations_leaves_the_modes_as_they_were() -> None:
    network = layers().eval()
    activation_bytes(network, torch.zeros(2, 3, 4, 4))
    assert not any(part.training for part in network.modules())
    assert all(weight.grad is None for weight in network.parameters())


def test_costs_are_those_of_the_papers_own_task() -> None:
    lenet = cost_on_paper("lenet5")
    assert (lenet.parameters, lenet.training_only) == (61_706, 0)
    assert lenet.multiply_adds == 416_520
    google = cost_on_paper("googlenet_3x3")
    assert (google.parameters, google.training_only) == (13_004_888, 6_379_984)
    assert google.multiply_adds == pytest.approx(1.498e9, rel=1e-3)
    assert google.activation_bytes > lenet.activation_bytes > 1024 * 4
