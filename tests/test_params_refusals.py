"""A change to params.yaml that cannot be made alone is refused, and the file is as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convoy import params
from convoy.errors import UsageError
from tests.params_texts import DIGITS, NEW, text_of, written

CHANGES: dict[str, Callable[[Path], object]] = {
    "add": lambda file: params.add_dataset(file, "new", NEW),
    "set": lambda file: params.set_value(file, "digits", "version", "abc"),
    "append": lambda file: params.append(file, "digits", "from", ["a"]),
    "remove": lambda file: params.remove_value(file, "digits", "source"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"datasets: [", "is not valid YAML"),
        (b"a: b: c\n", "line 1: mapping values are not allowed"),
        (b"datasets:\n  digits:\n    source: \xff\n", "is not valid YAML"),
        (b"", "has no section `datasets`"),
        (b"- a\n", "has no section `datasets`"),
        (b"datasets:\n", "has no section `datasets`"),
        (b"datasets: digits\n", "has no section `datasets`"),
    ],
)
def test_a_file_that_is_none_is_refused_and_left_as_it_is(
    tmp_path: Path, change: Callable[[Path], object], content: bytes, words: str
) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        change(file)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "text", "words"),
    [
        ("add", "datasets: {digits: {source: a}}\n", "one entry a line"),
        ("add", "datasets: {}\n", "one entry a line"),
        ("add", DIGITS + "  new:\n    source: a\n", "has a dataset 'new' already"),
        ("set", "datasets:\n  other: {}\n", "has no dataset 'digits'"),
        ("set", "datasets:\n  digits: {source: a}\n", "one value a line|values one a line"),
        ("set", "datasets:\n  a: &a\n    source: b\n  digits: *a\n", "more than dataset 'digits'"),
        ("append", "datasets:\n  digits:\n    from: a\n", "`from` of 'digits' is no list"),
        ("append", "datasets:\n  a:\n    from: &a [b]\n  digits:\n    from: *a\n", "more than"),
        ("remove", "datasets:\n  digits: {source: a, test: b}\n", "more than dataset 'digits'"),
    ],
)
def test_what_would_change_more_than_the_dataset_is_refused(
    tmp_path: Path, change: str, text: str, words: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UsageError, match=words):
        CHANGES[change](file)
    assert text_of(file) == text
