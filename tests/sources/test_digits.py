"""The digits that ship inside scikit-learn: whole, as they were published, or refused."""

import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy import sources
from convoy.errors import DataRefused, UsageError
from convoy.findings import Finding
from convoy.settings import Dataset
from convoy.sources.digits import FILE, SOURCE
from convoy.sources.source import LabelledImage

DIGITS = Dataset(source="digits", model="m", channels="gray", image_size=8, val=0.2, test=0.2)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    SOURCE.fetch(DIGITS, (), tmp_path, tmp_path / "memory")
    return tmp_path


def read(raw: Path) -> list[LabelledImage]:
    found = list(SOURCE.read(DIGITS, raw))
    assert not [finding for finding in found if isinstance(finding, Finding)]
    return [image for image in found if isinstance(image, LabelledImage)]


def pixels(found: LabelledImage) -> NDArray[np.uint8]:
    assert isinstance(found.image, np.ndarray)
    return found.image


def write(raw: Path, text: str) -> None:
    (raw / FILE).write_bytes(gzip.compress(text.encode()))


def row(pixel: float = 0, label: float = 3) -> str:
    return ",".join(map(str, [pixel] * 64 + [label])) + "\n"


def test_the_folder_is_the_registry() -> None:
    assert "digits" in sources.names()
    assert not {"__init__", "source"} & set(sources.names())
    assert sources.describe("digits") is SOURCE
    with pytest.raises(UsageError, match=r"unknown source 'digit' .*did you mean 'digits'\?$"):
        sources.describe("digit")


def test_there_are_the_published_1797_images_of_ten_digits(raw: Path) -> None:
    found = read(raw)
    assert len(found) == 1797
    counts = Counter(image.label for image in found)
    assert [counts[str(d)] for d in range(10)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert all(p.shape == (8, 8, 1) and p.dtype == np.uint8 for p in map(pixels, found))
    assert found[0].path == f"{FILE}:1"


def test_ink_is_scaled_to_the_whole_range_of_grays(raw: Path) -> None:
    write(raw, row(0) + row(8) + row(16))
    assert [int(image[0, 0, 0]) for image in map(pixels, read(raw))] == [0, 128, 255]


def test_fetching_copies_the_same_bytes_and_imports_nothing_of_scikit_learn(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from convoy.sources import describe; "
        "from convoy.settings import Dataset; raw = Path(sys.argv[1]); "
        "d = Dataset(source='digits', model='m', channels='gray', image_size=8, val=.2, test=.2); "
        "s = describe('digits'); s.fetch(d, (), raw, raw); list(s.read(d, raw)); "
        "assert not {'sklearn', 'torch'} & set(sys.modules)"
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", program, tmp_path / name], check=True, timeout=60)
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a gzipped table of numbers"),
        ("\n\n", "is not a gzipped table of numbers"),
        ("<html>404</html>", "is not a gzipped table of numbers"),
        ("1,2,3\n", "has 3 columns, not 64 pixels and a label"),
        (row() + "1,2\n", "is not a gzipped table of numbers"),
        (row() + row(pixel=17), "row 2: a pixel outside"),
        (row(pixel=-1), "row 1: a pixel outside"),
        (row(pixel=float("nan")), "row 1: a pixel outside"),
        (row(label=10), "row 1: .*a label that is no digit"),
        (row(label=1.5), "row 1: .*a label that is no digit"),
        (row(label=float("nan")), "row 1: .*a label that is no digit"),
    ],
)
def test_a_table_that_is_not_of_digits_is_refused_by_row(raw: Path, text: str, said: str) -> None:
    write(raw, text)
    with pytest.raises(DataRefused, match=said) as caught:
        read(raw)
    assert str(raw / FILE) in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "cut off", "a flipped byte", "not gzip", "missing"])
def test_a_damaged_file_is_refused_with_its_mend(raw: Path, damage: str) -> None:
    file = raw / FILE
    content = bytearray(file.read_bytes())
    match damage:
        case "empty":
            file.write_bytes(b"")
        case "cut off":
            file.write_bytes(content[: len(content) // 2])
        case "a flipped byte":
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content)
        case "not gzip":
            file.write_bytes(b"\x89PNG\r\n\x1a\n")
        case "missing":
            file.unlink()
    with pytest.raises(DataRefused, match=r"run again to have it copied anew"):
        read(raw)


def test_a_file_that_lies_there_is_the_users(raw: Path) -> None:
    write(raw, row())
    SOURCE.fetch(DIGITS, (), raw, raw / "memory")
    assert len(read(raw)) == 1


def test_digits_come_from_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/my/digits for the source 'digits'.*: remove `from`"):
        SOURCE.fetch(DIGITS, ("/my/digits",), tmp_path / "raw", tmp_path / "memory")
