"""Published weights, key for key, give the logits of the published networks."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from convoy.architectures import build
from convoy.architectures.weights import BATCHES, Loaded, load
from tests.architectures import on_paper, torchvision_states
from tests.architectures.torchvision_forward import logits

SIDE = 64
HEAVY = [pytest.param(name, marks=pytest.mark.slow) for name in ("vgg11", "vgg11_bn")]


def some_images(side: int = SIDE) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", torchvision_states.NAMES)
def test_a_network_has_the_published_keys_and_shapes_and_no_others(name: str) -> None:
    network = on_paper.network(name, 1000, 3, 224)
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert own == torchvision_states.shapes(name)


@pytest.mark.parametrize("name", ["vgg16", "vgg19_bn", "resnet34", "resnet152", "googlenet_3x3"])
def test_every_published_weight_is_taken(name: str) -> None:
    state = {k: torch.empty(s, device="meta") for k, s in torchvision_states.shapes(name).items()}
    whole = {k: v.long() if k.endswith(BATCHES) else v for k, v in state.items()}
    network = on_paper.network(name, 1000, 3, 224)
    assert load(network, name, whole) == Loaded((), (), ())


@pytest.mark.parametrize(
    "name", ["alexnet_owt", *HEAVY, "googlenet_3x3", "resnet18", "resnet50", "resnet34"]
)
def test_the_logits_are_those_of_the_published_network(name: str) -> None:
    state = torchvision_states.state(name)
    network = build(name, num_classes=1000, in_channels=3, image_size=SIDE).eval()
    load(network, name, state)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    with torch.inference_mode():
        found: Tensor = network(some_images())
        expected = logits(name, state, some_images())
    assert expected.std() > 0.1, "a vanished signal would be equal too"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["googlenet_3x3", "resnet18"])
@pytest.mark.parametrize("side", [65, 224])
def test_the_logits_agree_at_other_sizes_too(name: str, side: int) -> None:
    state = torchvision_states.state(name)
    network = build(name, num_classes=1000, in_channels=3, image_size=side).eval()
    load(network, name, state)
    with torch.inference_mode():
        found: Tensor = network(some_images(side))
        expected = logits(name, state, some_images(side))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_weights_come_from_a_file_of_either_form(suffix: str, tmp_path: Path) -> None:
    state = torchvision_states.state("resnet18")
    file = tmp_path / f"resnet18.{suffix}"
    if suffix == "safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    network = build("resnet18", num_classes=1000, in_channels=3, image_size=SIDE, weights=file)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_older_files_do_not_count_batches_and_are_in_an_older_format(tmp_path: Path) -> None:
    """Those of torch 0.4 to 1.5, as the first published ones are."""
    state = torchvision_states.state("resnet18")
    old = {key: value for key, value in state.items() if not key.endswith(BATCHES)}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    network = build(
        "resnet18", num_classes=1000, in_channels=3, image_size=SIDE, weights=tmp_path / "old.pth"
    )
    assert all(torch.equal(network.state_dict()[key], value) for key, value in old.items())
