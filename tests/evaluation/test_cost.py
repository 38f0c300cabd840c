"""The costs against counts made by hand."""

from time import sleep

import pytest
import torch
from torch import Tensor, nn

from convoy.evaluation.cost import microseconds_per_image, multiply_adds, parameters


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


def test_the_time_is_the_median_an_image_without_the_first_call() -> None:
    naps = iter([0.2, 0.02, 0.3, 0.02])

    def predict(images: Tensor) -> Tensor:
        sleep(next(naps))
        return images

    microseconds = microseconds_per_image(predict, torch.zeros(4, 3, 8, 8), repeats=3)
    assert 5_000 <= microseconds < 20_000
    assert next(naps, None) is None


@pytest.mark.parametrize(("images", "repeats"), [(0, 5), (4, 0)])
def test_nothing_cannot_be_timed(images: int, repeats: int) -> None:
    with pytest.raises(ValueError, match="cannot be timed"):
        microseconds_per_image(lambda images: images, torch.zeros(images, 1), repeats)
