"""Weights that fit in part or not at all: what is taken, what is refused, what never runs."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from convoy.architectures import build
from convoy.architectures.weights import Loaded, load, read
from convoy.errors import UsageError

State = dict[str, Any]


def network(name: str = "resnet18", num_classes: int = 10, **options: Any) -> nn.Module:
    """A narrow one: what is refused does not depend on the width."""
    return build(
        name,
        num_classes=num_classes,
        in_channels=3,
        image_size=64,
        options={"width": 0.125, **options},
    )


def state(name: str = "resnet18", num_classes: int = 10, **options: Any) -> State:
    torch.manual_seed(3)
    return dict(network(name, num_classes, **options).state_dict())


def unequal(one: State, other: State) -> set[str]:
    return {key for key in one.keys() & other.keys() if not torch.equal(one[key], other[key])}


def refused(given: State | Path, name: str = "resnet18", **options: Any) -> str:
    """Load in vain and return the sentence; the network must be as it was."""
    into = network(name, **options)
    before = {key: value.clone() for key, value in into.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load(into, name, given)
    assert unequal(before, into.state_dict()) == set()
    assert caught.value.exit_code == 2
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said


class Harm:
    """An object that makes a folder as soon as it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(
    suffix: str, tmp_path: Path
) -> None:
    harmed, unguarded = tmp_path / "harmed", tmp_path / "unguarded.pth"
    torch.save({**state(), "fc.bias": Harm(harmed)}, unguarded)
    torch.load(unguarded, weights_only=False)
    assert harmed.is_dir(), "what a reader without guard does"
    harmed.rmdir()
    file = unguarded.rename(tmp_path / f"weights.{suffix}")
    said = refused(file)
    assert not harmed.exists()
    assert str(file) in said
    assert "could run code" in said if suffix == "pth" else "damaged" in said


def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    harmed, file = tmp_path / "harmed", tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps({"fc.bias": Harm(harmed)}))
    assert str(file) in refused(file)
    assert not harmed.exists()


def test_a_whole_network_in_a_pickle_is_refused_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "network.pth"
    torch.save(network(), file)
    assert refused(file) == (
        f"{file} holds more than tensors, which could run code: save the state_dict() of its "
        f"network alone."
    )


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_damaged(suffix: str, share: float, tmp_path: Path) -> None:
    file = tmp_path / f"weights.{suffix}"
    torch.save(state(), file) if suffix == "pth" else save_file(state(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert refused(file) == f"{file} is damaged or no file of weights: bring it again."


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"\x80\x02}q\x00.", b"PK\x03\x04", bytes(100), b"\x93NUMPY"]
)
def test_a_file_of_something_else_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"weights.{suffix}"
    file.write_bytes(content)
    assert str(file) in refused(file)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {1: torch.zeros(3)}])
def test_a_file_without_a_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(content, file)
    kind = type(content).__name__
    assert refused(file).startswith(f"{file} holds a {kind} that is no state dict: save")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_missing_file_or_a_folder_is_refused(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights.{suffix}"
    assert refused(file).startswith(f"cannot read {file}: No such file")
    file.mkdir()
    assert str(file) in refused(file)


def test_a_key_that_the_network_does_not_have_is_refused_with_the_nearest() -> None:
    wrong = state()
    wrong["layer1.0.conv2.wieght"] = wrong.pop("layer1.0.conv2.weight")
    assert refused(wrong).startswith(
        "the state dict: 'layer1.0.conv2.wieght' is no weight of resnet18: "
        "did you mean 'layer1.0.conv2.weight'? The published weights of resnet18 fit"
    )


def test_a_key_that_is_missing_is_refused() -> None:
    lacking = state()
    del lacking["layer3.0.downsample.0.weight"]
    said = "the state dict lacks 'layer3.0.downsample.0.weight' of resnet18."
    assert refused(lacking).startswith(said)


def test_a_wrong_shape_is_refused_with_both() -> None:
    """A network in its form for small images has another first convolution."""
    into = build("resnet18", num_classes=10, in_channels=3, image_size=32, options={"width": 0.125})
    with pytest.raises(UsageError, match=r"'conv1.weight' is 8 x 3 x 7 x 7, but 8 x 3 x 3 x 3 in"):
        load(into, "resnet18", state())
    assert "'fc.bias' is 3, but 10 in" in refused({**state(), "fc.bias": torch.zeros(3)})
    assert "'fc.bias' is a single value, but" in refused({**state(), "fc.bias": torch.tensor(1.0)})


def test_what_is_no_tensor_or_of_another_kind_is_refused() -> None:
    assert "'fc.bias' is a list, not a tensor." in refused({**state(), "fc.bias": [1.0]})
    whole = {**state(), "fc.bias": torch.zeros(10, dtype=torch.int64)}
    assert "'fc.bias' holds torch.int64, not torch.float32." in refused(whole)


def test_half_precision_is_taken_as_it_is() -> None:
    into, half = network(), {k: v.half() for k, v in state().items() if v.is_floating_point()}
    load(into, "resnet18", half)
    assert torch.equal(into.state_dict()["fc.weight"], half["fc.weight"].float())


def test_a_file_of_another_network_is_refused() -> None:
    assert "is no weight of resnet18" in refused(state("vgg11"))
    assert "of vgg11" in refused(state(), "vgg11")


def test_a_network_without_published_weights_says_so() -> None:
    for name in ("lenet5", "googlenet"):
        into = build(name, num_classes=10, in_channels=3, image_size=64)
        with pytest.raises(UsageError, match=f"^no weights are published for {name}: "):
            load(into, name, {})


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("resnet18", ("fc",)),
        ("vgg11", ("classifier.6",)),
        ("googlenet_3x3", ("fc", "aux1.fc2", "aux2.fc2")),
    ],
)
def test_the_heads_stay_fresh_where_the_number_of_classes_differs(
    name: str, heads: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    given, into = state(name, num_classes=1000), network(name)
    before = {key: value.clone() for key, value in into.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        assert load(into, name, given) == Loaded(heads, (), ())
    after = into.state_dict()
    fresh = {f"{head}.{kind}" for head in heads for kind in ("weight", "bias")}
    assert unequal(after, {key: before[key] for key in fresh}) == set()
    assert unequal(after, {key: given[key] for key in given.keys() - fresh}) == set()
    said = "another number of classes apart: train it before it is used."
    assert [r.getMessage().endswith(said) for r in caplog.records] == [True] * len(heads)


def test_auxiliary_heads_that_a_file_lacks_stay_fresh(caplog: pytest.LogCaptureFixture) -> None:
    given = state("googlenet_3x3", auxiliary=False)
    into = network("googlenet_3x3")
    assert load(into, "googlenet_3x3", given) == Loaded((), ("aux1", "aux2"), ())
    assert "aux1 stays fresh" in caplog.text and "only training uses it" in caplog.text
    assert unequal(into.state_dict(), given) == set()


def test_auxiliary_heads_that_a_network_lacks_are_left_out() -> None:
    into = network("googlenet_3x3", auxiliary=False)
    assert load(into, "googlenet_3x3", state("googlenet_3x3")) == Loaded((), (), ("aux1", "aux2"))


def test_half_an_auxiliary_head_is_refused() -> None:
    given = state("googlenet_3x3")
    del given["aux1.fc1.weight"]
    assert "lacks 'aux1.fc1.weight'" in refused(given, "googlenet_3x3")


def test_options_that_change_shapes_are_named_in_the_refusal() -> None:
    assert refused(state(), activation="gelu", batch_norm=False).endswith(
        "without options that change its shape."
    )
    into = network(activation="gelu", dropout=0.2)
    assert load(into, "resnet18", state()) == Loaded((), (), ())


def test_reading_puts_tensors_on_the_processor(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(state(), file)
    assert {value.device.type for value in read(file).values() if isinstance(value, Tensor)} == {
        "cpu"
    }
