"""Batches: every image once an epoch, in an order that the seed and the epoch alone decide."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from convoy import readers, shards
from convoy.datamodule import Batches, DataModule, read_split
from convoy.errors import DataRefused
from convoy.readers import Resident
from convoy.splits import SPLITS
from tests.recipes import recipe

IMAGES = torch.arange(25 * 4 * 4 * 3, dtype=torch.int64).remainder(251).to(torch.uint8)
IMAGES = IMAGES.view(25, 4, 4, 3)
LABELS = torch.arange(25)


def batches(batch_size: int, seed: int | None = None, **options: Any) -> Batches:
    return Batches(Resident(IMAGES), LABELS, batch_size, seed, **options)


def labels(batches: Batches) -> list[int]:
    return [int(label) for _, batch in batches for label in batch]


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("batch_size", [1, 6, 25, 64])
def test_every_image_comes_once_an_epoch_with_its_own_label(
    seed: int | None, batch_size: int
) -> None:
    read = batches(batch_size, seed)
    found = list(read)
    assert len(found) == len(read)
    assert sorted(labels(read)) == list(range(25))
    for images, numbers in found:
        assert torch.equal(images, IMAGES[numbers].permute(0, 3, 1, 2))
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.rand(seed + epoch)  # whatever else draws numbers
        return labels(batches(6, seed, epoch=lambda: epoch))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_without_a_seed_the_order_is_that_of_the_files() -> None:
    assert labels(batches(6)) == list(range(25))


@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_an_epoch_that_was_cut_off_goes_on_behind_what_was_done(done: int) -> None:
    unbroken, resumed = batches(6, 1), batches(6, 1)
    told = labels(unbroken)
    reading = iter(unbroken)
    for _ in range(done):
        next(reading)
    resumed.load_state_dict(unbroken.state_dict())
    # After its last batch an epoch is over, and the next one begins.
    assert labels(resumed) == (told[6 * done :] if done < 5 else told)
    assert labels(resumed) == told


@pytest.mark.parametrize("count", [25, 24, 22, 12, 7])
@pytest.mark.parametrize(("parts", "world"), [(2, 1), (1, 2), (2, 2), (3, 1)])
def test_parts_and_processes_share_each_batch_without_a_gap(
    count: int, parts: int, world: int
) -> None:
    """Their mean losses, each times its share, come to the mean of the whole batch."""
    reader, numbers = Resident(IMAGES[:count]), LABELS[:count]
    loss = torch.rand(count, generator=torch.Generator().manual_seed(0))
    all_of_them = [
        Batches(reader, numbers, 6, 1, parts=parts, rank=rank, world=world) for rank in range(world)
    ]
    read = [[labels for _, labels in one] for one in all_of_them]
    assert sorted(int(n) for one in read for part in one for n in part) == list(range(count))
    order = all_of_them[0].order()
    for batch in range(len(read[0]) // parts):
        places = range(batch * parts, batch * parts + parts)
        seen = torch.cat([one[place] for one in read for place in places])
        start = 6 * batch
        end = count if batch == len(read[0]) // parts - 1 else start + 6
        assert sorted(seen.tolist()) == sorted(order[start:end].tolist())
        means = [
            loss[read[rank][place]].mean() * one.share(place)
            for rank, one in enumerate(all_of_them)
            for place in places
        ]
        assert torch.isclose(torch.stack(means).mean(), loss[seen].mean())


def test_rare_classes_are_drawn_as_often_as_frequent_ones() -> None:
    numbers = torch.tensor([0] * 5 + [1] * 95)
    reader = Resident(torch.zeros(100, 2, 2, 1, dtype=torch.uint8))
    chances = torch.tensor([1 / 5, 1 / 95])[numbers]
    drawn = []
    for epoch in range(20):
        read = Batches(reader, numbers, 10, 1, epoch=partial(int, epoch), chances=chances)
        drawn.append(sum(labels(read)))
        assert len(labels(read)) == 100
    assert 900 < sum(drawn) < 1100
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("kind", ["device", "disk"])
def test_the_disk_gives_the_batches_that_memory_gives(
    tiny: dict[str, str], kind: readers.Kind
) -> None:
    data = DataModule(tiny, recipe(), seed=1, kind=kind)
    images, numbers = read_split(tiny, "train")
    train = data.train_dataloader()
    assert train.reader.kind == kind
    order = train.order()
    for index, (found, told) in enumerate(train):
        chosen = order[32 * index : 32 * index + 32]
        assert torch.equal(found, images[chosen].permute(0, 3, 1, 2))
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(told, numbers[chosen])
        assert torch.equal(train.part(index), chosen)
        assert data.stored("train", int(chosen[0])).label == str(int(told[0]))


def test_images_are_read_from_the_disk_where_memory_is_short(
    tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []
    needed = len(read_split(tiny, "train")[0]) * 64
    for memory in (2 * needed, 2 * needed - 2):
        monkeypatch.setattr(readers, "free", lambda device, memory=memory: memory)
        kinds.append(DataModule(tiny, recipe(), seed=1).train_dataloader().reader.kind)
    assert kinds == ["device", "disk"]


def test_free_memory_is_some_of_what_there_is() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < readers.free(torch.device("cpu")) <= machine


@pytest.mark.parametrize("balance", [None, "weights", "sampling"])
def test_classes_are_balanced_as_the_recipe_says(tiny: dict[str, str], balance: str | None) -> None:
    data = DataModule(tiny, recipe(balance=balance), seed=1)
    counts = torch.bincount(read_split(tiny, "train")[1])
    weights = data.class_weights()
    if balance == "weights":
        assert weights is not None
        assert torch.allclose(torch.tensor(weights) * counts, counts.sum() / 10)
    else:
        assert weights is None
    chances = data.train_dataloader().chances
    assert (chances is not None) == (balance == "sampling")
    assert data.val_dataloader().chances is None


def test_the_splits_of_a_version_are_read_as_they_were_prepared(tiny: dict[str, str]) -> None:
    images, numbers = read_split(tiny, "train")
    assert images.shape[1:] == (8, 8, 1)
    assert (images.dtype, numbers.dtype) == (torch.uint8, torch.int64)
    assert len(images) == len(numbers) > 200


def test_training_shuffles_and_validation_does_not(tiny: dict[str, str]) -> None:
    data = DataModule(tiny, recipe(), seed=1)
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
