"""What is measured is what serves: one graph from raw images to probabilities."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from convoy.architectures import build
from convoy.graph import ArchitectureRecord, Graph, load_graph, probabilities
from convoy.preprocessing import Preprocessing, resize

RECORD = ArchitectureRecord(
    architecture="mlp",
    classes=["cat", "dog", "owl"],
    channels="rgb",
    image_size=16,
    mean=[100.0, 110.0, 120.0],
    std=[50.0, 55.0, 60.0],
)


def raw(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build("mlp", num_classes=3, in_channels=3, image_size=16)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def graph(weights: Path) -> Graph:
    return load_graph(RECORD, weights)


def test_probabilities_are_those_of_the_classes(graph: Graph) -> None:
    found = probabilities(graph, raw(5, 20, 30))
    assert found.shape == (5, 3)
    assert torch.allclose(found.sum(dim=1), torch.ones(5))
    assert not graph.training


def test_the_same_weights_give_the_same_probabilities(graph: Graph, weights: Path) -> None:
    images = raw(4, 16, 16)
    assert torch.equal(graph(images), load_graph(RECORD, weights)(images))


@pytest.mark.parametrize("size", [(16, 16), (50, 33), (9, 200), (8, 8)])
def test_a_raw_image_gives_what_its_prepared_form_gives(
    graph: Graph, size: tuple[int, int]
) -> None:
    images = raw(4, *size)
    prepared = resize(images.permute(0, 3, 1, 2), 16).to(torch.uint8).permute(0, 2, 3, 1)
    assert torch.equal(probabilities(graph, images), probabilities(graph, prepared))


def test_batches_make_no_difference_but_rounding(graph: Graph) -> None:
    images = raw(10, 16, 16)
    assert torch.allclose(probabilities(graph, images, 3), probabilities(graph, images), atol=1e-6)


def test_weights_of_another_architecture_are_not_taken(weights: Path) -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_graph(replace(RECORD, image_size=20), weights)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lenet5", "resnet20"])
def test_the_exported_graph_takes_any_number_and_size_of_images(architecture: str) -> None:
    torch.manual_seed(0)
    record = replace(RECORD, architecture=architecture, image_size=32)
    network = build(architecture, num_classes=3, in_channels=3, image_size=32)
    graph = Graph(_preprocessing(record), network).eval()
    dimensions = {d: torch.export.Dim(n, min=1) for d, n in ((0, "N"), (1, "H"), (2, "W"))}
    with torch.no_grad():
        exported = torch.export.export(
            graph, (raw(2, 40, 50),), dynamic_shapes={"images": dimensions}
        ).module()
        for count, height, width in ((1, 40, 50), (3, 28, 28), (5, 100, 31), (2, 32, 32)):
            images = raw(count, height, width)
            assert torch.allclose(exported(images), graph(images), atol=1e-6)


def test_exported_preprocessing_equals_the_eager_one_bit_for_bit() -> None:
    preprocessing = _preprocessing(RECORD)
    dimensions = {d: torch.export.Dim(n, min=1) for d, n in ((0, "N"), (1, "H"), (2, "W"))}
    exported = torch.export.export(
        preprocessing, (raw(2, 40, 50),), dynamic_shapes={"images": dimensions}
    ).module()
    for count, height, width in ((1, 40, 50), (3, 16, 16), (7, 100, 31), (2, 5, 300), (1, 1, 1)):
        images = raw(count, height, width)
        assert torch.equal(exported(images), preprocessing(images))


def _preprocessing(record: ArchitectureRecord) -> Preprocessing:
    return Preprocessing(record.image_size, record.mean, record.std)
