"""Fashion-MNIST: MNIST's form with names for labels."""

from pathlib import Path

import pytest

from convoy.errors import DataRefused
from convoy.settings import Dataset
from convoy.sources.fashion_mnist import FILES, MIRRORS, SOURCE
from convoy.sources.mnist import FILES as MNIST_FILES
from convoy.sources.source import LabelledImage
from tests.idx_files import write_pair

FASHION = Dataset(
    source="fashion_mnist", model="m", channels="gray", image_size=28, val=0.1, test=0.1
)


def test_numbers_stand_for_the_ten_articles_in_the_published_order(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-", range(10))
    write_pair(tmp_path, "t10k-", [9, 0])
    found = [i for i in SOURCE.read(FASHION, tmp_path) if isinstance(i, LabelledImage)]
    assert [(image.split, image.label) for image in found] == [
        ("train", "T-shirt/top"),
        ("train", "Trouser"),
        ("train", "Pullover"),
        ("train", "Dress"),
        ("train", "Coat"),
        ("train", "Sandal"),
        ("train", "Shirt"),
        ("train", "Sneaker"),
        ("train", "Bag"),
        ("train", "Ankle boot"),
        ("test", "Ankle boot"),
        ("test", "T-shirt/top"),
    ]


def test_mnist_under_the_same_names_is_not_taken_for_it(tmp_path: Path) -> None:
    assert [file.name for file in FILES] == [file.name for file in MNIST_FILES]
    for part in ("train-", "t10k-"):
        write_pair(tmp_path, part, [1, 2])
    with pytest.raises(DataRefused, match=r"train-images-idx3.* bytes instead of 26,421,880"):
        SOURCE.fetch(FASHION, (str(tmp_path),), tmp_path / "raw", tmp_path / "memory")


def test_mirrors_are_folders_of_the_four_files() -> None:
    assert all(
        mirror.startswith("http") and not mirror.endswith(("/", ".gz")) for mirror in MIRRORS
    )
