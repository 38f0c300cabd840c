"""params.yaml belongs to people: writing a dataset into it changes nothing else of it."""

import random
from pathlib import Path

import pytest
import yaml

from convoy import params
from tests.params_texts import DIGITS, NEW, PETS, REST, parsed, text_of, written

FILES = {
    "a comment behind": DIGITS + REST,
    "a block list": DIGITS + PETS + REST,
    "the last section": "# head\n" + REST + DIGITS,
    "comments at the end": DIGITS + "    # of digits\n  # of datasets\n# of the file\n",
    "no newline at the end": (REST + DIGITS).rstrip("\n"),
    "Windows' line ends": (DIGITS + PETS + REST).replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + DIGITS + REST,
    "four columns": "datasets:\n    digits:\n        source: digits\n        test: 0.2\n" + REST,
    "flow style inside": "datasets:\n  digits: {source: digits, test: 0.2}\n" + REST,
    "a list with no indent": "datasets:\n  pets:\n    from:\n    - a\n    - b\n" + REST,
    "a text of lines": "datasets:\n  digits:\n    source: |\n      digits\n\n" + REST,
    "a folded text": "datasets:\n  digits:\n    source: some\n      more\n" + REST,
    "quoted names": "'datasets':\n  \"digits\":\n    'source': digits\n" + REST,
    "a document mark": "---\n" + DIGITS + "...\n",
}


def only_added(before: str, after: str) -> str:
    """Return what was added in one piece; everything before and behind it is as it was."""
    head = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    head = min(len(before), len(after)) if head is None else head
    tail = len(before) - head
    assert before[head:] == (after[-tail:] if tail else "")
    return after[head : len(after) - tail]


@pytest.mark.parametrize("form", FILES)
def test_an_entry_is_added_below_the_others_and_the_rest_keeps_its_bytes(
    tmp_path: Path, form: str
) -> None:
    before = FILES[form]
    file = written(tmp_path, before)
    params.add_dataset(file, "new", NEW)
    after = text_of(file)
    meant = parsed(before)
    meant["datasets"]["new"] = NEW
    assert parsed(after) == meant
    assert list(parsed(after)["datasets"])[-1] == "new"
    added = only_added(before, after)
    assert len(added.strip().splitlines()) == len(NEW) + 1
    assert ("\r\n" in added) == ("\r\n" in before)
    assert added.count("\r\n") in (0, added.count("\n"))


@pytest.mark.parametrize("form", [form for form in FILES if form != "flow style inside"])
def test_a_value_is_added_at_the_end_of_its_entry_and_removed_without_a_trace(
    tmp_path: Path, form: str
) -> None:
    before = FILES[form]
    name = next(iter(parsed(before)["datasets"]))
    file = written(tmp_path, before)
    params.set_value(file, name, "version", "0123abc")
    meant = parsed(before)
    meant["datasets"][name]["version"] = "0123abc"
    assert parsed(text_of(file)) == meant
    assert "version" in only_added(before, text_of(file))
    assert params.remove_value(file, name, "version")
    assert text_of(file).removesuffix("\n") == before.removesuffix("\n")
    assert not params.remove_value(file, name, "version")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("version: abc", "version: NEW"),
        ("version:   'abc'  # since May", "version:   NEW  # since May"),
        ('version: "a: b # c"', "version: NEW"),
        ("version:", "version: NEW"),
        ("version:  # none yet", "version: NEW  # none yet"),
        ("version: ~", "version: NEW"),
        ("version: {a: 1}", "version: NEW"),
        ("'version' : abc", "'version' : NEW"),
        ("version: |\n      abc\n", "version: NEW\n"),
        ("version: >-\n      abc\n      def\n\n    # a comment", "version: NEW\n\n    # a comment"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_value_is_set_in_its_place(
    tmp_path: Path, line: str, expected: str, newline: str
) -> None:
    around = f"datasets:\n  a:\n    source: x\n    {{}}\n    model: y\n{REST}"
    file = written(tmp_path, around.format(line).replace("\n", newline))
    params.set_value(file, "a", "version", "NEW")
    assert text_of(file) == around.format(expected).replace("\n", newline)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from: [a]", "from: [a, NEW]"),
        ("from: [a, 'b c',]  # two", "from: [a, 'b c', NEW,]  # two"),
        ("from: []", "from: [NEW]"),
        ("from: [ ]", "from: [NEW ]"),
        ("from: [a, # the first\n      b # the second\n    ]  # end",
         "from: [a, # the first\n      b, NEW # the second\n    ]  # end"),
        ("from:\n      - a\n      # why\n      - b  # second",
         "from:\n      - a\n      # why\n      - b  # second\n      - NEW"),
        ("from:  # these\n    - a", "from:  # these\n    - a\n    - NEW"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("behind", ["\n    model: y\n", "\n", "", "\n\n    # of a\n  b: {}\n"])
def test_a_list_grows_in_the_form_that_it_has(
    tmp_path: Path, before: str, after: str, behind: str
) -> None:
    around = "datasets:\n  a:\n    source: x\n    "
    file = written(tmp_path, f"{around}{before}{behind}")
    params.append(file, "a", "from", ["NEW"])
    assert text_of(file).removesuffix("\n") == f"{around}{after}{behind}".removesuffix("\n")


def test_a_list_that_was_not_there_is_written(tmp_path: Path) -> None:
    file = written(tmp_path, DIGITS + REST)
    params.append(file, "digits", "from", ["a", "b: c"])
    assert parsed(text_of(file))["datasets"]["digits"]["from"] == ["a", "b: c"]
    assert only_added(DIGITS + REST, text_of(file)) == "    from: [a, 'b: c']\n"


VALUES = [
    "yes", "No", "on", "null", "~", "true", "", " ", "a b", "1e3", "1.5", "0x1f", "017", "1_000",
    "12:30", "2020-01-01", "nan", ".inf", "-", "- a", "?", "a: b", "a:", "a #b", "#a", "a, b",
    "[a", "{a}", "&a", "*a", "!a", "|", ">", "@a", "`a", "%a", "'", '"', "it's", 'a "b"', "\\",
    "\t", "new\nline", "two\n\nlines", "\r", "é", "日本語", "🐈 cats", "\u2028", "\u00a0", "\x7f",
    "\ufeff",
    "../a/b-c_d.e", "s3://bucket/a b?c=d", "C:\\data", "x" * 3000, "word " * 200, "=", "<<",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value[:20]))
def test_every_text_is_read_again_as_it_was_given(tmp_path: Path, value: str) -> None:
    before = DIGITS + REST
    file = written(tmp_path, before)
    params.add_dataset(file, "new", {"source": value, "from": [value, "other", value]})
    params.set_value(file, "digits", "version", value)
    params.append(file, "new", "from", [value])
    found = parsed(text_of(file))
    assert found["datasets"]["new"] == {"source": value, "from": [value, "other", value, value]}
    assert found["datasets"]["digits"]["version"] == value
    assert found == yaml.load(text_of(file), Loader=yaml.CSafeLoader)
    assert found["checks"] == parsed(before)["checks"]
    assert len(text_of(file).splitlines()) >= len(before.splitlines()) + 4
    assert text_of(file).count("\n") == before.count("\n") + 4, "each on one line"


@pytest.mark.parametrize("value", [0, 1, 64, 0.15, 1e-7, 1e30])
def test_numbers_stay_numbers(tmp_path: Path, value: float) -> None:
    file = written(tmp_path, DIGITS)
    params.set_value(file, "digits", "val", value)
    found = parsed(text_of(file))["datasets"]["digits"]["val"]
    assert (found, type(found)) == (value, type(value))


def test_a_number_in_the_eyes_of_other_readers_is_quoted(tmp_path: Path) -> None:
    file = written(tmp_path, DIGITS)
    params.set_value(file, "digits", "version", "1234e5")
    assert 'version: "1234e5"\n' in text_of(file)


@pytest.mark.parametrize("name", ["2024", "yes", "1e3", "null", "a-b_c", "0x1", "true"])
def test_a_dataset_may_have_any_name_that_a_name_may_be(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, DIGITS)
    params.add_dataset(file, name, NEW)
    assert parsed(text_of(file))["datasets"][name] == NEW
    params.set_value(file, name, "version", "abc")
    params.append(file, name, "from", ["more"])
    assert params.remove_value(file, name, "version")
    assert parsed(text_of(file))["datasets"][name] == {**NEW, "from": ["../new", "more"]}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_file_looks_like_the_rest_of_it_stays(tmp_path: Path, seed: int) -> None:
    """Files put together by chance: lines between, comments behind, the order of entries."""
    draw = random.Random(seed)
    entries = draw.sample([DIGITS.split("\n", 1)[1], PETS, "  3d:\n    source: a\n"], 3)
    noise = ["\n", "# a comment\n", "    # deep\n", "  # less\n", ""]
    text = "".join(f"{entry}{draw.choice(noise)}" for entry in entries)
    text = f"{draw.choice(noise)}datasets:  # all\n{text}{draw.choice(['', REST])}"
    text = text.replace("\n", draw.choice(["\n", "\r\n"]))
    file = written(tmp_path, text)
    params.add_dataset(file, "new", NEW)
    for name in draw.sample(["digits", "pets", "3d", "new"], 4):
        before = text_of(file)
        params.set_value(file, name, "version", "abc")
        only_added(before, text_of(file))
        params.remove_value(file, name, "version")
        assert text_of(file) == before
    found, meant = parsed(text_of(file)), parsed(text)
    assert found.pop("datasets") == {**meant.pop("datasets"), "new": NEW}
    assert found == meant
