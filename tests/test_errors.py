"""Exit codes are a promise to scripts; unknown names get their nearest."""

import pytest

from convoy import errors
from convoy.errors import ConvoyError, nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConvoyError", 1),
        ("UsageError", 2),
        ("DataRefused", 3),
        ("NotReproducible", 4),
        ("GateRefused", 5),
        ("ParityFailed", 6),
        ("Stopped", 130),
    ],
)
def test_each_kind_has_its_exit_code(name: str, code: int) -> None:
    error = getattr(errors, name)
    assert issubclass(error, ConvoyError)
    assert error.exit_code == code


def test_a_misspelt_name_gets_its_nearest_and_a_strange_one_all() -> None:
    assert nearest("lenet", ["vgg16", "lenet5"]) == "did you mean 'lenet5'?"
    assert nearest("resnet21", ["resnet20", "resnet32"]) == "did you mean 'resnet20'?"
    assert nearest("zzz", ["vgg16", "lenet5"]) == "known are lenet5, vgg16."
