"""The whole of a recipe's augmentation: one contract, whatever is on."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from convoy.augmentation.composition import Augmentation
from convoy.augmentation.settings import Augment
from convoy.decoding import COUNT, Channels
from convoy.errors import UsageError
from convoy.preprocessing import Preprocessing
from tests.augmentation.pictures import noise, seeded

# On images this small a second thread only waits for the first.
pytestmark = pytest.mark.usefixtures("one_thread")
GEOMETRY: dict[str, dict[str, Any]] = {
    "shift": {"shift": 2},
    "flip": {"flip": True},
    "rotate": {"rotate": 20},
    "erase": {"erase": 0.5},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "moves": {"shift": 2, "flip": True, "rotate": 20, "erase": 0.5, "fill": 9},
    "both": {"shift": 2, "flip": True, "mixup": 0.4, "cutmix": 1.0},
}
TONES: dict[str, dict[str, Any]] = {
    "contrast": {"jitter": {"brightness": 0.2, "contrast": 0.2}},
    "randaugment": {"policy": {"name": "randaugment", "operations": 2, "magnitude": 9}},
    "trivial": {"policy": {"name": "trivial"}},
}
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}
ALL = {**GEOMETRY["moves"], "jitter": JITTER, **TONES["randaugment"], "mixup": 0.2, "cutmix": 1}
EACH = {**GEOMETRY, **TONES, "jitter": {"jitter": JITTER}, "all": ALL}


def augmentation(values: dict[str, Any], channels: Channels = "rgb") -> Augmentation:
    return Augmentation(Augment.model_validate(values), channels)


def test_with_nothing_on_the_same_tensors_come_back() -> None:
    images, labels = noise(4, 3, 8, 8), torch.arange(4)
    generator = seeded()
    before = generator.get_state()
    found, targets = augmentation({})(images, labels, generator, 10)
    assert found is images
    assert targets is labels
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("name", EACH)
def test_the_same_generator_gives_the_same_batch_and_another_another(name: str) -> None:
    images, labels = noise(24, 3, 12, 12), torch.arange(24) % 5
    first, again, other = (
        augmentation(EACH[name])(images, labels, seeded(seed), 5) for seed in (1, 1, 2)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("name", EACH)
def test_copies_of_an_image_in_one_batch_become_different_ones(name: str) -> None:
    images = noise(24, 3, 12, 12)
    images[:12] = images[0]  # their partners for mixing are the others
    found, _ = augmentation(EACH[name])(images, torch.zeros(24, dtype=torch.int64), seeded(), 2)
    copies = {bytes(one.contiguous().numpy()) for one in found[:12]}
    assert len(copies) >= (2 if name == "flip" else 4)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(
    ("shape", "planar"),
    [
        ((1, 3, 16, 16), False),
        ((2, 3, 11, 16), True),
        ((7, 3, 17, 9), False),
        ((33, 3, 8, 8), True),
    ],
    ids=str,
)
def test_every_shape_keeps_to_the_contract(name: str, shape: tuple[int, ...], planar: bool) -> None:
    images = noise(*shape)
    if planar:
        images = images.contiguous()
    labels = torch.arange(shape[0]) % 4
    kept = images.clone(), labels.clone()
    found, targets = augmentation(EACH[name])(images, labels, seeded(), 4)
    assert torch.equal(images, kept[0])
    assert torch.equal(labels, kept[1])
    assert found.shape == images.shape
    assert found.dtype == torch.uint8
    assert found.is_contiguous(memory_format=torch.channels_last)
    if "mixup" in EACH[name] or "cutmix" in EACH[name]:
        assert targets.shape == (shape[0], 4)
        assert targets.dtype == torch.float32
    else:
        assert targets is labels


@pytest.mark.parametrize("channels", COUNT)
def test_a_batch_of_any_colour_goes_into_preprocessing_and_the_loss(channels: Channels) -> None:
    count = COUNT[channels]
    tones = [*TONES.values()] if channels != "cmyk" else []
    for values in (*GEOMETRY.values(), *tones):
        images, labels = noise(6, count, 16, 16), torch.arange(6)
        found, targets = augmentation(values, channels)(images, labels, seeded(), 6)
        normalise = Preprocessing(16, channels, [100.0] * count, [50.0] * count).normalise
        features = normalise(found).flatten(1)[:, :6]
        assert F.cross_entropy(features, targets).isfinite()


@pytest.mark.parametrize("name", EACH)
def test_a_device_is_never_asked_for_a_value_nor_sent_to_another(name: str) -> None:
    """The meta device has no values: reading one, or mixing devices, is an error there."""
    images = torch.empty(20, 3, 16, 16, dtype=torch.uint8, device="meta")
    labels = torch.empty(20, dtype=torch.int64, device="meta")
    found, targets = augmentation(EACH[name])(images, labels, seeded(), 10)
    assert found.shape == images.shape
    assert found.is_meta
    assert targets.is_meta


@pytest.mark.parametrize("name", EACH)
def test_half_precision_training_sees_the_same_images(name: str) -> None:
    images, labels = noise(20, 3, 16, 16), torch.arange(20)
    expected = augmentation(EACH[name])(images, labels, seeded(), 20)
    with torch.autocast("cpu", torch.bfloat16):
        found = augmentation(EACH[name])(images, labels, seeded(), 20)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_what_makes_no_sense_in_a_colour_is_refused_before_any_batch() -> None:
    with pytest.raises(UsageError, match=r"augment\.policy makes no sense for cmyk images"):
        augmentation(TONES["trivial"], "cmyk")


def test_borders_are_black_unless_a_fill_is_given() -> None:
    white = torch.full((64, 3, 16, 16), 255, dtype=torch.uint8)
    for fill in (0, 130):
        values = {"shift": 3, "rotate": 30, "fill": fill}
        found, _ = augmentation(values)(white, torch.arange(64), seeded(), 64)
        assert found.min() == fill
        assert found[:, :, 8, 8].min() == 255
