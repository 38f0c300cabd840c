"""The section `augment`: absent is off, and what is out of range or unknown is refused."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from convoy.augmentation.settings import Augment
from convoy.errors import UsageError

FULL: dict[str, Any] = {
    "shift": 4,
    "flip": True,
    "rotate": 15,
    "jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05},
    "policy": {"name": "randaugment", "operations": 2, "magnitude": 9},
    "erase": 0.25,
    "mixup": 0.2,
    "cutmix": 1.0,
    "fill": 128,
}


def test_the_whole_section_is_read_and_written_again() -> None:
    augment = Augment.model_validate(FULL)
    assert Augment.model_validate(augment.model_dump()) == augment
    assert Augment.model_validate({"policy": {"name": "trivial"}}).policy is not None


def test_what_is_absent_is_off() -> None:
    off = Augment().model_dump()
    jitter = off.pop("jitter")
    assert not any(off.values())
    assert not any(jitter.values())


@pytest.mark.parametrize(
    "values",
    [
        {"shift": -1},
        {"shift": 1.5},
        {"flip": 1},
        {"rotate": 181},
        {"rotate": float("nan")},
        {"jitter": {"hue": 0.6}},
        {"jitter": {"brightness": -0.1}},
        {"jitter": {"sharpness": 0.1}},
        {"policy": {"name": "autoaugment"}},
        {"policy": {"name": "randaugment"}},
        {"policy": {"name": "randaugment", "operations": 0, "magnitude": 9}},
        {"policy": {"name": "randaugment", "operations": 2, "magnitude": 11}},
        {"policy": {"name": "trivial", "magnitude": 9}},
        {"erase": 1.1},
        {"mixup": -0.2},
        {"cutmix": float("inf")},
        {"fill": 256},
        {"cutout": 8},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Augment.model_validate(values)


@pytest.mark.parametrize(
    ("channels", "values", "told"),
    [
        ("gray", {"jitter": {"contrast": 0.1, "saturation": 0.1}}, "jitter.saturation"),
        ("gray", {"jitter": {"hue": 0.1}}, "jitter.hue"),
        ("cmyk", {"jitter": {"brightness": 0.1}}, "jitter.brightness"),
        ("cmyk", {"policy": {"name": "trivial"}}, "policy"),
    ],
)
def test_colour_that_a_dataset_lacks_is_refused(
    channels: Any, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=rf"augment\.{told} makes no sense for {channels} images"):
        Augment.model_validate(values).check(channels)


def test_colour_that_a_dataset_has_is_taken() -> None:
    Augment.model_validate(FULL).check("rgb")
    Augment.model_validate(FULL).check("hsv")
    jitter = {"brightness": 0.1, "contrast": 0.1}
    Augment.model_validate({"jitter": jitter, "policy": {"name": "trivial"}}).check("gray")
    Augment(shift=4, flip=True, rotate=10, erase=0.5, mixup=1, cutmix=1).check("cmyk")


def test_settings_are_read_without_torch() -> None:
    code = "import sys, convoy.augmentation.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
