"""Which split an image is in follows from its content, its group and what is official."""

import random

import pytest

from convoy.ingestion.rows import Row
from convoy.splits import Split, split_of
from tests.ingestion.animals import (
    LENIENT,
    checked,
    clean,
    digest,
    official,
    row,
    rules,
    shuffled,
    splits,
)


def test_official_splits_are_kept_and_val_comes_out_of_train() -> None:
    rows = official()
    result = checked(rows)
    assert rules(result) == {}
    found = splits(rows, result)
    for image in rows:
        if image.split == "test":
            assert found[image.content] == "test"
        else:
            assert found[image.content] == split_of(image.content, 0.15, 0)


def test_an_official_val_is_kept_too() -> None:
    rows = official(val=100)
    assert splits(rows, checked(rows)) == {image.content: image.split for image in rows}


def test_test_comes_out_of_train_where_only_val_is_official() -> None:
    rows = official(train=1000, test=0, val=100)
    found = splits(rows, checked(rows))
    for image in rows:
        expected = "val" if image.split == "val" else split_of(image.content, 0, 0.2)
        assert found[image.content] == expected


def test_images_without_a_split_among_official_ones_count_as_train() -> None:
    loose = [row(f"loose {number}") for number in range(500)]
    rows = [*official(), *loose]
    found = splits(rows, checked(rows))
    assert {found[image.content] for image in loose} == {"train", "val"}
    assert sum(split == "test" for split in found.values()) == 200


def test_groups_stay_whole_and_fall_by_their_lowest_member() -> None:
    rows = clean()
    near = [(number, number + 2) for number in range(0, 400, 4)]
    found = splits(rows, checked(rows, near))
    for one, other in near:
        low = min(rows[one].content, rows[other].content)
        assert found[rows[one].content] == found[rows[other].content] == split_of(low, 0.15, 0.2)


def test_a_named_group_falls_by_its_name_whatever_its_size() -> None:
    people = [f"person {number}" for number in range(200)]
    rows = [
        row(f"{person} {n}", ("cat", "dog")[n % 2], group=person) for person in people
        for n in range(30)
    ]  # fmt: skip
    found = splits(rows, checked(rows))
    for image in rows:
        assert image.group is not None
        assert found[image.content] == split_of(digest(image.group), 0.15, 0.2)
    assert 0.1 < sum(split == "test" for split in found.values()) / len(rows) < 0.3


@pytest.mark.parametrize("seed", range(10))
def test_a_growing_dataset_never_moves_an_image_from_test_to_train(seed: int) -> None:
    """Images, copies with other paths, near-duplicates and groups come in, in any order."""
    draw = random.Random(seed)
    rank: dict[Split, int] = {"test": 0, "val": 1, "train": 2}
    rows: list[Row] = []
    near: list[tuple[int, int]] = []
    before: dict[bytes, Split] = {}
    for step in range(8):
        for number in range(60):
            rows.append(
                row(
                    f"image {draw.randrange(400)}",
                    draw.choices(["cat", "dog"], [20, 1])[0],
                    path=f"{draw.random():.9f}.png",
                    group=draw.choice([None, None, None, f"group {draw.randrange(60)}"]),
                )
            )
            if step and number % 6 == 0:
                near.append((draw.randrange(len(rows) - 1), len(rows) - 1))
        turned, moved = shuffled(rows, near, seed + step)
        after = splits(turned, checked(turned, moved, checks=LENIENT))
        for content in before.keys() & after.keys():
            assert rank[after[content]] <= rank[before[content]]
        before = after
