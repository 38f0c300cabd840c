"""The folder is the registry: names without torch, records on demand, refusals that help."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convoy import architectures
from convoy.architectures import build, describe, module_of, names, variants_in
from convoy.errors import ConvoyError, UsageError

SMALL_AND_QUICK = ("mlp", "lenet5", "alexnet", "zfnet", "vgg11_bn", "googlenet", "resnet20")
LARGE_ON_SMALL_IMAGES = ("vgg11", "vgg13_bn", "vgg16", "resnet18", "resnet50", "resnet56")


def training_loss(name: str, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return describe(name).loss(network(images), labels, F.cross_entropy)


def a_batch(size: int = 16, image_size: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 1, image_size, image_size, generator=generator)
    return images, torch.arange(size) % 4


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
    assert training_loss(name, network.train(), images, labels).ndim == 0

    with pytest.raises(UsageError, match=rf"^{name} .* {smallest - 1} pixels.* {smallest}\.$"):
        build(name, num_classes=7, in_channels=2, image_size=smallest - 1)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg11", "vgg19_bn", "googlenet"])
def test_the_smallest_image_is_the_smallest_that_the_layers_can_take(name: str) -> None:
    below = describe(name).smallest - 1
    with torch.device("meta"):
        network = describe(name).network(num_classes=7, in_channels=2, image_size=below)
        images = torch.empty(2, 2, below, below)
    with pytest.raises(RuntimeError):
        network.eval()(images)


@pytest.mark.parametrize("image_size", [33, 63, 64, 96, 225])
@pytest.mark.parametrize("name", names())
def test_a_network_takes_any_larger_image(name: str, image_size: int) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=7, in_channels=3, image_size=image_size)
        images = torch.empty(2, 3, image_size, image_size)
    assert network.eval()(images).shape == (2, 7)
    labels = torch.zeros(2, dtype=torch.long, device="meta")
    assert training_loss(name, network.train(), images, labels).ndim == 0


@pytest.mark.parametrize(
    "name",
    [
        *SMALL_AND_QUICK,
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE_ON_SMALL_IMAGES),
    ],
)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=4, in_channels=1, image_size=32)
    torch.autograd.backward(training_loss(name, network, *a_batch()))
    unreached = [
        key
        for key, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert unreached == []


@pytest.mark.parametrize(
    "name",
    [
        *SMALL_AND_QUICK,
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE_ON_SMALL_IMAGES),
    ],
)
def test_a_network_overfits_one_batch(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=4, in_channels=1, image_size=32)
    images, labels = a_batch()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    network.train()
    for _ in range(200):
        loss = training_loss(name, network, images, labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        with torch.no_grad():
            outputs = network(images)
        logits = outputs if isinstance(outputs, Tensor) else outputs.logits
        if (logits.argmax(1) == labels).all():
            break
    assert logits.argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize("name", SMALL_AND_QUICK)
def test_a_batch_of_one_image_trains(name: str) -> None:
    network = build(name, num_classes=4, in_channels=1, image_size=32).train()
    loss = training_loss(name, network, *a_batch(1))
    torch.autograd.backward(loss)
    assert loss.isfinite()


@pytest.mark.parametrize("name", SMALL_AND_QUICK)
def test_the_first_loss_is_near_that_of_a_guess(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=10, in_channels=1, image_size=32).train()
    images, labels = a_batch(64)
    outputs = network(images)
    logits = outputs if isinstance(outputs, Tensor) else outputs.logits
    assert 2.0 < F.cross_entropy(logits, labels).item() < 4.0  # a guess: ln(10) = 2.3
