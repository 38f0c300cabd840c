"""The folder is the registry: names without torch, records on demand, refusals that help."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from convoy import architectures
from convoy.architectures import build, describe, module_of, names, variants_in
from convoy.errors import ConvoyError, UsageError
from tests.architectures.on_paper import KINDS


def test_names_read_from_source_are_those_of_the_imported_tables() -> None:
    folder = Path(architectures.__file__).parent
    imported: list[str] = []
    for file in sorted(folder.glob("*.py")):
        module = importlib.import_module(f"convoy.architectures.{file.stem}")
        imported += getattr(module, "VARIANTS", {})
    assert list(names()) == imported
    assert len(set(names())) == len(names())


def test_names_are_known_without_torch() -> None:
    program = (
        "import sys; from convoy.architectures import module_of, names; "
        "assert module_of('vgg16') == 'convoy.architectures.vgg'; "
        "assert len(names()) > 20; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_describing_one_network_imports_no_other_file() -> None:
    program = (
        "import sys; from convoy.architectures import describe; describe('lenet5'); "
        "assert 'convoy.architectures.vgg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"unknown architecture 'vgg16bn': did you mean 'vgg16_bn'?"
    ):
        module_of("vgg16bn")
    with pytest.raises(UsageError, match=r"unknown architecture 'lenet'"):
        build("lenet", num_classes=10, in_channels=1, image_size=32)


@pytest.mark.parametrize(
    "source",
    [
        "VARIANTS = dict(one=1)",
        "VARIANTS = {name: 1 for name in 'ab'}",
        "VARIANTS = {1: 1}",
        "VARIANTS = {'one': 1, **others}",
        "VARIANTS: dict[str, int]",
    ],
)
def test_a_table_that_cannot_be_read_from_source_is_refused(source: str, tmp_path: Path) -> None:
    file = tmp_path / "novel.py"
    file.write_text(source)
    with pytest.raises(ConvoyError, match=r"novel\.py: VARIANTS must be a dict literal"):
        variants_in(file)


def test_a_table_may_be_annotated_and_a_file_may_have_none(tmp_path: Path) -> None:
    file = tmp_path / "novel.py"
    file.write_text("VARIANTS: dict[str, int] = {'one': 1, 'two': 2}")
    assert variants_in(file) == ("one", "two")
    file.write_text("import torch")
    assert variants_in(file) == ()


@pytest.mark.parametrize("name", names())
def test_a_network_takes_its_smallest_image_and_refuses_a_smaller_one(name: str) -> None:
    smallest = describe(name).smallest
    with torch.device("meta"):
        network = build(name, num_classes=7, in_channels=2, image_size=smallest)
        images = torch.empty(2, 2, smallest, smallest)
    assert network.eval()(images).shape == (2, 7)
    labels = torch.zeros(2, dtype=torch.long, device="meta")
    outputs = network.train()(images)
    assert describe(name).loss(outputs, labels, F.cross_entropy).ndim == 0

    with pytest.raises(UsageError) as caught:
        build(name, num_classes=7, in_channels=2, image_size=smallest - 1)
    assert str(caught.value) == (
        f"{name} cannot take images of {smallest - 1} pixels: its smallest image_size is "
        f"{smallest}."
    )


@pytest.mark.parametrize("name", names())
def test_a_network_takes_gray_to_cmyk_and_nothing_else(name: str) -> None:
    side = describe(name).task.side
    for channels in (1, 2, 3, 4):
        with torch.device("meta"):
            network = build(name, num_classes=7, in_channels=channels, image_size=side).eval()
            images = torch.empty(1, channels, side, side)
        assert network(images).shape == (1, 7)
    for channels in (0, 5):
        with pytest.raises(UsageError) as caught:
            build(name, num_classes=7, in_channels=channels, image_size=side)
        assert str(caught.value) == (
            f"{name} cannot take images of {channels} channels: in_channels is 1 (gray) to 4 "
            f"(CMYK)."
        )


def test_classes_are_one_or_more() -> None:
    assert build("mlp", num_classes=1, in_channels=1, image_size=8)(torch.zeros(2, 1, 8, 8)).shape
    with pytest.raises(UsageError, match=r"^mlp cannot tell 0 classes apart: num_classes is 1 or"):
        build("mlp", num_classes=0, in_channels=1, image_size=8)


@pytest.mark.parametrize(
    "name", ["alexnet", "alexnet_owt", "zfnet", "vgg11", "vgg19_bn", "googlenet"]
)
def test_the_smallest_image_is_the_smallest_that_the_layers_can_take(name: str) -> None:
    below = describe(name).smallest - 1
    with torch.device("meta"):
        network = describe(name).network(num_classes=7, in_channels=2, image_size=below)
        images = torch.empty(2, 2, below, below)
    with pytest.raises(RuntimeError):
        network.eval()(images)


@pytest.mark.parametrize("image_size", [33, 63, 64, 96, 225])
@pytest.mark.parametrize("name", KINDS)
def test_a_network_takes_any_larger_image(name: str, image_size: int) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=7, in_channels=3, image_size=image_size)
        images = torch.empty(2, 3, image_size, image_size)
    assert network.eval()(images).shape == (2, 7)
    labels = torch.zeros(2, dtype=torch.long, device="meta")
    outputs = network.train()(images)
    assert describe(name).loss(outputs, labels, F.cross_entropy).ndim == 0
