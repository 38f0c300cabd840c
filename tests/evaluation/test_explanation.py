"""That every network can be looked into by hooks alone, and what is shown is what it computes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convoy import architectures
from convoy.decoding import Channels
from convoy.evaluation import explanation
from convoy.evaluation.attribution import grad_cam, input_gradients
from convoy.evaluation.filters import first_filters
from convoy.evaluation.tracing import by_depth, deepest, layers, outputs
from tests.evaluation.pictured import subject
from tests.evaluation.test_figures import drawn


@pytest.mark.parametrize("name", architectures.names())
def test_every_architecture_shows_its_filters_maps_and_where_it_sees_a_class(name: str) -> None:
    one = subject(name, "rgb", count=4)
    drawn(explanation.filters(one))
    if name == "mlp":
        for draw in (explanation.depths, explanation.cam):
            with pytest.raises(ValueError, match="no layer of this network gives maps"):
                draw(one)
        drawn(explanation.gradients(one))
        return
    chosen = by_depth(layers(one.network, one.normalised([0])))
    assert len(chosen) >= 3
    sides = [layer.height for layer in chosen]
    assert sides == sorted(sides, reverse=True)
    drawn(explanation.depths(one))
    drawn(explanation.cam(one))


@pytest.mark.parametrize("channels", ["gray", "rgb", "hsv", "cmyk"])
@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_filters_of_all_colours_are_drawn(channels: Channels, name: str) -> None:
    drawn(explanation.filters(subject(name, channels)))


def test_a_network_is_left_as_it_was() -> None:
    one = subject("resnet20")
    before = {name: value.clone() for name, value in one.network.state_dict().items()}
    drawn(explanation.depths(one))
    drawn(explanation.cam(one))
    assert not any(module._forward_hooks for module in one.network.modules())
    assert all(parameter.grad is None for parameter in one.network.parameters())
    after = one.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


class Functional(nn.Module):
    """A newcomer's network: nothing but convolutions are modules, one of them is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu_(self.first(images))
        maps = torch.relu_(self.again(nn.functional.max_pool2d(maps, 2)))
        maps = torch.relu_(self.again(maps))
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


def test_a_network_of_functions_that_work_in_place_is_looked_into_as_well() -> None:
    torch.manual_seed(0)
    network, images = Functional().eval(), torch.randn(2, 1, 16, 16)
    found = layers(network, images)
    assert [(layer.name, layer.height) for layer in found] == [
        ("first", 16),
        ("again", 8),
        ("again", 8),
    ]
    kept = outputs(network, images, [found[0].call])[found[0].call]
    assert torch.equal(kept, network.first(images)), "as it was before the activation"
    heat = grad_cam(network, images, torch.tensor([0, 1]), found[-1])
    assert heat.shape == (2, 16, 16)


def test_grad_cam_is_the_papers_where_the_paper_has_a_closed_form() -> None:
    """With averaged maps and a linear head the weights are the head's own: CAM of Zhou et al."""
    torch.manual_seed(1)

    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 6, 3, padding=1)
            self.head = nn.Linear(6, 4)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(self.maps(images).mean((2, 3)))
            return logits

    network, images = Averaged(), torch.randn(3, 1, 8, 8)
    classes = torch.tensor([0, 3, 2])
    layer = deepest(layers(network, images))
    assert layer is not None
    with torch.no_grad():
        maps = network.maps(images)
        expected = torch.einsum("nk,nkhw->nhw", network.head.weight[classes], maps).relu()
        expected /= expected.amax(dim=(1, 2), keepdim=True)
    assert torch.allclose(grad_cam(network, images, classes, layer), expected, atol=1e-5)


def test_input_gradients_are_those_of_the_logit() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    linear = network[1]
    assert isinstance(linear, nn.Linear)
    found = input_gradients(network, torch.randn(2, 1, 4, 4), torch.tensor([2, 0]))
    expected = linear.weight[[2, 0]].detach().abs().view(2, 4, 4)
    assert torch.allclose(found, expected / expected.amax(dim=(1, 2), keepdim=True))


def test_the_filters_are_the_first_weights_the_largest_first() -> None:
    one = subject("mlp")
    found = first_filters(one.network, one.normalised([0]))
    assert found is not None and found.of_the_whole_image
    assert found.weights.shape == (512, 1, 32, 32)
    norms = found.weights.flatten(1).norm(dim=1).numpy()
    assert (np.diff(norms) <= 0).all()


def test_where_no_image_is_right_mistakes_are_explained_and_the_other_way_round() -> None:
    one = subject(count=6)
    shares = one.scored.probabilities
    answers = shares.argmax(axis=1)
    for labels, right in (((answers + 1) % 3, False), (answers, True)):
        scored = replace(one.scored, labels=labels)
        numbers = explanation.examples(scored)
        assert numbers
        assert all(scored.correct[n] == right for n in numbers)
        drawn(explanation.cam(replace(one, scored=scored)))


def test_examples_are_of_different_classes_and_mistakes_of_different_pairs() -> None:
    one = subject(count=12)
    right = [n for n in explanation.examples(one.scored) if one.scored.correct[n]]
    wrong = [n for n in explanation.examples(one.scored) if not one.scored.correct[n]]
    assert len({int(one.scored.labels[n]) for n in right}) == len(right) > 0
    assert 0 < len(wrong) <= explanation.MOST
