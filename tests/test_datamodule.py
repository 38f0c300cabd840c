"""Batches: every image once an epoch, in an order that the seed and the epoch alone decide."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from convoy.datamodule import Batches, DataModule, read_split, shifted
from convoy.errors import DataRefused

IMAGES = torch.arange(25 * 4 * 4 * 3, dtype=torch.int64).remainder(251).to(torch.uint8)
IMAGES = IMAGES.view(25, 4, 4, 3)
LABELS = torch.arange(25)


def labels(batches: Batches) -> list[int]:
    return [int(label) for _, batch in batches for label in batch]


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("batch_size", [1, 6, 25, 64])
def test_every_image_comes_once_an_epoch_with_its_own_label(
    seed: int | None, batch_size: int
) -> None:
    batches = Batches(IMAGES, LABELS, batch_size, seed)
    found = list(batches)
    assert len(found) == len(batches)
    assert sorted(labels(batches)) == list(range(25))
    for images, numbers in found:
        assert torch.equal(images, IMAGES[numbers].permute(0, 3, 1, 2))
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.rand(seed + epoch)  # whatever else draws numbers
        return labels(Batches(IMAGES, LABELS, 6, seed, epoch=lambda: epoch))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_shifts_follow_from_seed_and_epoch_alone() -> None:
    def images(epoch: int) -> Tensor:
        return torch.cat([i for i, _ in Batches(IMAGES, LABELS, 6, 1, 2, lambda: epoch)])

    assert torch.equal(images(3), images(3))
    assert not torch.equal(images(3), images(4))


def test_without_a_seed_the_order_is_that_of_the_files() -> None:
    assert labels(Batches(IMAGES, LABELS, 6)) == list(range(25))


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_shifting_all_at_once_is_shifting_each_by_itself(pixels: int) -> None:
    images = IMAGES.permute(0, 3, 1, 2)
    found = shifted(images, pixels, torch.Generator().manual_seed(0))
    draws = torch.randint(0, 2 * pixels + 1, (2, 25, 1), generator=torch.Generator().manual_seed(0))
    for number in range(25):
        down, right = (int(draw[number]) - pixels for draw in draws)
        expected = torch.zeros(3, 4, 4, dtype=torch.uint8)
        for row in range(4):
            for column in range(4):
                if 0 <= row + down < 4 and 0 <= column + right < 4:
                    expected[:, row, column] = images[number, :, row + down, column + right]
        assert torch.equal(found[number], expected)


def test_every_shift_is_drawn() -> None:
    point = torch.zeros(500, 1, 5, 5, dtype=torch.uint8)
    point[:, :, 2, 2] = 1
    found = shifted(point, 2, torch.Generator().manual_seed(0))
    assert (found.sum((1, 2, 3)) == 1).all()
    assert (found.sum((0, 1)) > 0).all()


def test_the_splits_of_a_version_are_read_as_they_were_packed(tiny: dict[str, str]) -> None:
    images, numbers = read_split(tiny, "train")
    assert images.shape[1:] == (8, 8, 1)
    assert (images.dtype, numbers.dtype) == (torch.uint8, torch.int64)
    assert len(images) == len(numbers) > 200


def test_training_shuffles_and_validation_does_not(tiny: dict[str, str]) -> None:
    data = DataModule(tiny, batch_size=32, seed=1, shift=0)
    train, val = labels(data.train_dataloader()), labels(data.val_dataloader())
    assert sorted(train) == sorted(read_split(tiny, "train")[1].tolist())
    assert train != read_split(tiny, "train")[1].tolist()
    assert val == read_split(tiny, "val")[1].tolist()


def test_a_missing_array_is_named(tiny: dict[str, str]) -> None:
    files = {name: path for name, path in tiny.items() if name != "val-labels.npy"}
    with pytest.raises(DataRefused, match=r"has no val-labels.npy: prepare"):
        read_split(files, "val")


@pytest.mark.parametrize(
    ("images", "numbers"),
    [
        (np.zeros((3, 4, 4, 1), np.float32), np.zeros(3, np.int64)),
        (np.zeros((3, 4, 4), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((3, 4, 4, 1), np.uint8), np.zeros(2, np.int64)),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    tmp_path: Path, images: np.ndarray, numbers: np.ndarray
) -> None:
    np.save(tmp_path / "i.npy", images)
    np.save(tmp_path / "l.npy", numbers)
    files = {"a-images.npy": str(tmp_path / "i.npy"), "a-labels.npy": str(tmp_path / "l.npy")}
    with pytest.raises(
        DataRefused, match=r"the a split holds images .*: prepare the dataset again"
    ):
        read_split(files, "a")
