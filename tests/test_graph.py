"""What is measured is what serves: one graph from raw images to probabilities."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from convoy import onnx_form
from convoy.architectures import build
from convoy.decoding import COUNT, Channels
from convoy.evaluation.parity import require_parity
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


def raw(count: int, height: int, width: int, channels: Channels = "rgb") -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    shape = (count, height, width, COUNT[channels])
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def exported(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The module as it comes back from a file, for any number and size of images."""
    dimensions = {d: torch.export.Dim(n, min=1) for d, n in ((0, "N"), (1, "H"), (2, "W"))}
    with torch.no_grad():
        program = torch.export.export(module, (example,), dynamic_shapes={"images": dimensions})
    file = io.BytesIO()
    torch.export.save(program, file)
    return torch.export.load(io.BytesIO(file.getvalue()))


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
    prepared = resize(images.permute(0, 3, 1, 2), 16).permute(0, 2, 3, 1)
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
    loaded = exported(graph, raw(2, 40, 50)).module()
    with torch.no_grad():
        for count, height, width in ((1, 40, 50), (3, 28, 28), (5, 100, 31), (2, 32, 32)):
            images = raw(count, height, width)
            assert torch.allclose(loaded(images), graph(images), atol=1e-6)


@pytest.mark.parametrize("channels", COUNT)
def test_exported_preprocessing_equals_the_eager_one_bit_for_bit(channels: Channels) -> None:
    preprocessing = _preprocessing(_record(channels))
    loaded = exported(preprocessing, raw(2, 40, 50, channels)).module()
    for height, width in ((28, 28), (100, 100), (37, 211), (16, 16), (5, 300), (300, 5), (1, 1)):
        for count in (1, 5):
            images = raw(count, height, width, channels)
            assert torch.equal(loaded(images), preprocessing(images))
            prepared = resize(images.permute(0, 3, 1, 2), 16)
            assert torch.equal(loaded(images), preprocessing.normalise(prepared))


def test_exported_preprocessing_moves_to_another_device() -> None:
    """Nothing in the graph stays behind on the processor that exported it."""
    program = exported(_preprocessing(RECORD), raw(2, 40, 50))
    moved = move_to_device_pass(program, "meta").module()
    images = torch.empty(3, 37, 211, 3, dtype=torch.uint8, device="meta")
    assert moved(images).shape == (3, 3, 16, 16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("channels", COUNT)
def test_a_gpu_preprocesses_to_the_same_bits(channels: Channels) -> None:
    preprocessing = _preprocessing(_record(channels))
    program = exported(preprocessing, raw(2, 40, 50, channels))
    moved = move_to_device_pass(program, "cuda").module()
    for count, height, width in ((1, 400, 533), (5, 28, 28), (3, 16, 16), (2, 5, 3000)):
        images = raw(count, height, width, channels)
        prepared = resize(images.permute(0, 3, 1, 2), 16)
        assert torch.equal(resize(images.permute(0, 3, 1, 2).cuda(), 16).cpu(), prepared)
        assert torch.allclose(moved(images.cuda()).cpu(), preprocessing(images), atol=1e-6)


def _record(channels: Channels) -> ArchitectureRecord:
    count = COUNT[channels]
    moments = ([100.0, 110.0, 120.0, 130.0][:count], [50.0, 55.0, 60.0, 65.0][:count])
    return replace(RECORD, channels=channels, mean=moments[0], std=moments[1])


def _preprocessing(record: ArchitectureRecord) -> Preprocessing:
    return Preprocessing(record.image_size, record.channels, record.mean, record.std)


def test_options_are_part_of_the_record(tmp_path: Path) -> None:
    options = {"hidden": [9, 7], "activation": "tanh"}
    network = build("mlp", num_classes=3, in_channels=3, image_size=16, options=options)
    file = tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    graph = load_graph(replace(RECORD, options=options), file)
    images = raw(2, 16, 16)
    logits = network.eval()(graph.preprocessing(images))
    assert torch.equal(graph(images), logits.softmax(1))
    with pytest.raises(RuntimeError, match=r"size mismatch|Unexpected key"):
        load_graph(RECORD, file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((n, 32) for n in ("lenet5", "alexnet", "vgg11_bn", "resnet20")),
        *(pytest.param(name, 32, marks=pytest.mark.soak) for name in ("zfnet", "googlenet")),
        ("zfnet", 64),
        *(
            pytest.param(name, 64, marks=pytest.mark.soak)
            for name in ("alexnet", "alexnet_owt", "googlenet_3x3", "resnet18")
        ),
    ],
)
def test_every_family_comes_back_from_its_exported_file(name: str, side: int) -> None:
    torch.manual_seed(0)
    network = build(
        name, num_classes=3, in_channels=3, image_size=side, options={"width": 0.25}
    ).eval()
    graph = Graph(Preprocessing(side, "rgb", RECORD.mean, RECORD.std), network).eval()
    images = raw(3, 40, 50)
    found = exported(graph, raw(2, side, side)).module()(images)
    with torch.no_grad():
        torch.testing.assert_close(found, graph(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
# What ONNX's exporter says of its own use of PyTorch's trees.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "channels"),
    [("lenet5", "gray"), pytest.param("resnet20", "hsv", marks=pytest.mark.soak)],
)
def test_the_onnx_form_takes_any_number_and_size_of_images(
    name: str, channels: Channels, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    record = _record(channels)
    network = build(name, num_classes=3, in_channels=COUNT[channels], image_size=32).eval()
    graph = Graph(Preprocessing(32, channels, record.mean, record.std), network).eval()
    onnx_form.export(graph, raw(2, 32, 32, channels), tmp_path / "model.onnx")
    with torch.no_grad():
        for count, height, width in ((1, 32, 32), (3, 100, 37), (2, 5, 300)):
            images = raw(count, height, width, channels)
            found = onnx_form.score(tmp_path / "model.onnx", images)
            require_parity("the ONNX form", found, graph(images).numpy())
