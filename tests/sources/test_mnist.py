"""MNIST as it was published: its counts, its mean, and nothing that is not it."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.settings import Dataset
from convoy.sources import mnist
from convoy.sources.source import Encoded, LabelledImage
from tests.idx_files import write_pair

MNIST = Dataset(source="mnist", model="m", channels="gray", image_size=28, val=0.1, test=0.1)
ORIGIN = Path(__file__).parents[2].parent / "shared" / "data" / "mnist"
real = pytest.mark.skipif(not ORIGIN.is_dir(), reason="shared/data/mnist is not beside this clone")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    mnist.SOURCE.fetch(MNIST, (str(ORIGIN),), folder / "raw", folder / "memory")
    return folder / "raw"


def arrays(found: Iterator[LabelledImage | Finding]) -> Iterator[tuple[LabelledImage, int]]:
    """Yield images with the sum of their pixels."""
    for image in found:
        assert isinstance(image, LabelledImage) and not isinstance(image.image, Encoded)
        assert image.image.shape == (28, 28, 1) and image.image.dtype == np.uint8
        yield image, int(image.image.sum())


@real
def test_there_are_the_published_images_of_each_digit(fetched: Path) -> None:
    counts = Counter[tuple[str | None, str]]()
    sums = Counter[str | None]()
    for image, total in arrays(mnist.SOURCE.read(MNIST, fetched)):
        counts[image.split, image.label] += 1
        sums[image.split] += total
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert counts == Counter(
        {(split, str(digit)): count
         for split, each in (("train", train), ("test", test))
         for digit, count in enumerate(each)}
    )  # fmt: skip
    assert sums["train"] / (60_000 * 784) == pytest.approx(33.3184, abs=1e-4)
    assert sums["test"] / (10_000 * 784) == pytest.approx(33.7912, abs=1e-4)


@real
def test_rows_are_numbered_from_one_with_train_first(fetched: Path) -> None:
    found = list(mnist.read(MNIST, fetched))
    assert found[0].path == "train-images-idx3-ubyte.gz:1" and found[0].label == "5"
    assert found[60_000].path == "t10k-images-idx3-ubyte.gz:1" and found[60_000].label == "7"


@real
def test_what_was_compressed_anew_is_the_published_content(fetched: Path) -> None:
    for file in mnist.FILES:
        kept, original = fetched / file.name, ORIGIN / file.name
        assert kept.read_bytes() == original.read_bytes()
        assert file.published and kept.stat().st_size != file.published.size
        assert file.fault(kept) is None


def test_other_digits_in_the_same_form_are_not_mnist(tmp_path: Path) -> None:
    for part in ("train-", "t10k-"):
        write_pair(tmp_path, part, [1, 2])
    with pytest.raises(DataRefused, match=r"train-images-idx3-ubyte.gz has the sha256 .* replace"):
        mnist.SOURCE.fetch(MNIST, (str(tmp_path),), tmp_path / "raw", tmp_path / "memory")
    assert not list((tmp_path / "raw").iterdir())


def test_a_label_that_is_no_digit_is_refused_by_row(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-", [1, 9, 10])
    write_pair(tmp_path, "t10k-", [1])
    with pytest.raises(DataRefused, match=r"train-labels.*, row 3: the label 10 instead of 0 to 9"):
        list(mnist.SOURCE.read(MNIST, tmp_path))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-", [1])
    with pytest.raises(DataRefused, match=r"cannot read .*t10k-images-idx3-ubyte.gz"):
        list(mnist.SOURCE.read(MNIST, tmp_path))


@real
@pytest.mark.parametrize("damage", ["cut off", "a flipped byte", "another content"])
def test_a_damaged_file_is_fetched_again(fetched: Path, tmp_path: Path, damage: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for file in mnist.FILES:
        (raw / file.name).write_bytes((fetched / file.name).read_bytes())
    labels = raw / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(labels.read_bytes())
    match damage:
        case "cut off":
            labels.write_bytes(content[:1000])
        case "a flipped byte":
            content[1000] ^= 0xFF
            labels.write_bytes(content)
        case "another content":
            plain = bytearray(gzip.decompress(content))
            plain[100] ^= 1
            labels.write_bytes(gzip.compress(plain))
    mnist.SOURCE.fetch(MNIST, (str(ORIGIN),), raw, tmp_path / "memory")
    assert labels.read_bytes() == (ORIGIN / labels.name).read_bytes()


def test_mnist_never_changes() -> None:
    assert mnist.SOURCE.fingerprint(()) is None
