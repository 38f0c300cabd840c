"""Batches: every image once an epoch, in an order that the seed and the epoch alone decide."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from convoy import shards
from convoy.datamodule import Batches, DataModule, flipped, read_split, shifted
from convoy.errors import DataRefused
from convoy.splits import SPLITS

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


def test_flipping_mirrors_half_of_the_images_and_leaves_the_others() -> None:
    images = torch.rand(2000, 3, 4, 5)
    found = flipped(images, torch.Generator().manual_seed(0))
    mirrored = (found == images.flip(3)).all(3).all(2).all(1)
    same = (found == images).all(3).all(2).all(1)
    assert (mirrored ^ same).all()
    assert 900 < mirrored.sum() < 1100
    assert torch.equal(found, flipped(images, torch.Generator().manual_seed(0)))


def test_batches_flip_by_seed_and_epoch_and_only_where_the_recipe_says_so() -> None:
    def images(flip: bool, epoch: int = 0, shift: int = 0) -> Tensor:
        batches = Batches(IMAGES, LABELS, 6, 1, shift, lambda: epoch, flip)
        return torch.cat([found for found, _ in batches])

    assert torch.equal(images(True, 3, shift=1), images(True, 3, shift=1))
    assert not torch.equal(images(True, 3), images(False, 3))
    either = {tuple(one.flatten().tolist()) for image in IMAGES.permute(0, 3, 1, 2)
              for one in (image, image.flip(2))}  # fmt: skip
    assert {tuple(one.flatten().tolist()) for one in images(True)} <= either
    mirrored = [(images(True, epoch) != images(False, epoch)).any(3).any(2).any(1)
                for epoch in (0, 1)]  # fmt: skip
    assert not torch.equal(*mirrored)


@pytest.mark.parametrize("flip", [True, False])
def test_training_flips_as_the_recipe_says_and_validation_never_does(
    tiny: dict[str, str], flip: bool
) -> None:
    data = DataModule(tiny, batch_size=32, seed=1, shift=0, flip=flip)
    train, val = (
        torch.cat([images for images, _ in batches])
        for batches in (data.train_dataloader(), data.val_dataloader())
    )
    stored = {bytes(image.numpy()) for image in read_split(tiny, "train")[0]}
    kept = [bytes(image.permute(1, 2, 0).contiguous().numpy()) in stored for image in train]
    assert all(kept) != flip
    assert torch.equal(val, read_split(tiny, "val")[0].permute(0, 3, 1, 2))


def test_the_splits_of_a_version_are_read_as_they_were_prepared(tiny: dict[str, str]) -> None:
    images, numbers = read_split(tiny, "train")
    assert images.shape[1:] == (8, 8, 1)
    assert (images.dtype, numbers.dtype) == (torch.uint8, torch.int64)
    assert len(images) == len(numbers) > 200


def test_training_shuffles_and_validation_does_not(tiny: dict[str, str]) -> None:
    data = DataModule(tiny, batch_size=32, seed=1, shift=0, flip=False)
    train, val = labels(data.train_dataloader()), labels(data.val_dataloader())
    assert sorted(train) == sorted(read_split(tiny, "train")[1].tolist())
    assert train != read_split(tiny, "train")[1].tolist()
    assert val == read_split(tiny, "val")[1].tolist()


def test_a_split_has_the_pixels_and_labels_that_its_tables_tell_of(tiny: dict[str, str]) -> None:
    where = shards.places(tiny)
    for split in SPLITS:
        images, numbers = read_split(tiny, split)
        told = [where.stored[one] for one in where.of(split)]
        assert [one.label for one in told] == [str(number) for number in numbers.tolist()]
        assert [one.pixels for one in told] == [shards.digest(image) for image in images.numpy()]


def test_missing_pixels_are_named(tiny: dict[str, str]) -> None:
    (array,) = (name for name in tiny if name.endswith(".npy") and not name.endswith(".near.npy"))
    files = {name: path for name, path in tiny.items() if name != array}
    with pytest.raises(DataRefused, match=rf"{array} is missing: prepare"):
        read_split(files, "val")


@pytest.mark.parametrize("content", [None, b"", b'{"classes": ["0"', b"[]"])
def test_a_version_without_a_whole_manifest_is_refused(
    tiny: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    files = {name: path for name, path in tiny.items() if name != "manifest.json"}
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
        files["manifest.json"] = str(tmp_path / "manifest.json")
    with pytest.raises(DataRefused, match=r"has no manifest.json: prepare"):
        read_split(files, "val")
