"""A version grows by what is new, and what is whole of the former one is used again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convoy import shards
from convoy.datamodule import read_split
from convoy.decoding import COUNT
from convoy.ingestion.store import SMALL_SHARDS
from tests.ingestion.animals import CHECKS
from tests.ingestion.places import Place, damaged_pixel, drawn, named, order
from tests.origins.held import tree


def written(before: Path, after: Path) -> int:
    """Return the bytes of the shards that are not those of the version before."""
    old = tree(before)
    new = {name: digest for name, digest in tree(after).items() if name.startswith("shards/")}
    changed = [name for name, digest in new.items() if old.get(name) != digest]
    return sum((after / name).stat().st_size for name in changed)


def kept_aside(place: Place) -> Path:
    """Return a copy of the prepared version as it is now."""
    aside = place.root / "aside"
    for name, path in place.files.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_bytes(Path(path).read_bytes())
    return aside


# What grows, changes and goes.


def test_a_dataset_that_grew_is_the_version_that_came_at_once(tmp_path: Path) -> None:
    images = named(drawn(160))
    grown, once = Place(tmp_path / "grown"), Place(tmp_path / "once")
    for part in range(0, 160, 40):
        grown.write(dict(list(images.items())[part : part + 40]))
        grown.ingest(checks=CHECKS.model_copy(update={"rarest": 1}))
    once.write(images)
    once.ingest()
    assert grown.manifest == once.manifest
    assert grown.report == once.report
    assert order(grown) == order(once)
    assert len(grown.arrays()) == 4 and len(once.arrays()) == 1


def test_one_per_cent_more_images_are_one_per_cent_more_bytes(
    place: Place, decodes: list[str]
) -> None:
    images = drawn(1010, side=32)
    place.write(named(images[:1000]))
    place.ingest(image_size=32)
    assert len(decodes) == 1000
    aside, known = kept_aside(place), place.known()
    total = sum(Path(path).stat().st_size for path in place.files.values())
    decodes.clear()

    place.write(named(images[1000:], start=1000))
    place.ingest(image_size=32)

    assert 0.008 * total < written(aside, place.prepared) < 0.012 * total
    assert sorted(decodes) == sorted(named(images[1000:], start=1000))
    after = place.known()
    assert len(after) == 1010
    assert {content: after[content] for content in known} == known
    linked = [name for name in place.arrays() if (aside / name).is_file()]
    assert linked == [name for name in sorted(tree(aside)) if name in place.arrays()]


def test_the_same_files_again_change_no_byte(place: Place, decodes: list[str]) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    decodes.clear()
    place.ingest()
    assert tree(place.prepared) == before
    assert decodes == []


def test_copies_of_an_image_change_no_pixel(place: Place) -> None:
    images = drawn(120)
    place.write(named(images))
    place.ingest()
    aside, digest = kept_aside(place), place.manifest["digest"]
    place.write({f"{n % 2}/copy {n}.png": image for n, image in enumerate(images[:10])})
    place.ingest()
    assert place.manifest["digest"] == digest
    assert place.manifest["totals"]["duplicates"] == 10
    assert written(aside, place.prepared) == 0


def test_a_new_label_changes_one_table(
    place: Place, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 40 * 64)
    place.write(named(drawn(200)))
    place.ingest()
    before = tree(place.prepared)
    decodes.clear()
    (place.photos / "0/00000.png").rename(place.photos / "1/00000.png")
    place.ingest()
    after = tree(place.prepared)
    assert before.keys() == after.keys()
    changed = {name for name in after if before[name] != after[name]}
    (table,) = changed - {"manifest.json", "report.json"}
    assert table.endswith(".csv")
    assert decodes == []


def test_removed_images_change_tables_only_and_come_back_without_decoding(
    place: Place, decodes: list[str]
) -> None:
    images = named(drawn(200))
    place.write(images)
    first = place.ingest().manifest
    before = tree(place.prepared)
    decodes.clear()
    for path in list(images)[:20]:
        (place.photos / path).unlink()
    place.ingest()
    after = tree(place.prepared)
    assert before.keys() == after.keys()
    assert {name for name in after if before[name] != after[name]} == {
        *(name for name in after if name.endswith(".csv")),
        "manifest.json",
        "report.json",
    }
    assert sum(map(len, order(place))) == 180

    place.write(images)
    place.ingest()
    assert place.manifest == first
    assert tree(place.prepared) == before
    assert decodes == []


def test_a_shard_that_lost_most_of_its_images_is_written_anew(
    place: Place, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 50 * 64)
    images = named(drawn(300))
    place.write(images)
    place.ingest()
    before = place.arrays()
    worn = next(iter(shards.shard_names(place.files)))
    members = [one.path for one in shards.read_table(Path(place.files[f"shards/{worn}.csv"]))]
    decodes.clear()
    for path in members[:26]:
        (place.photos / path).unlink()
    place.ingest()
    assert set(before) - set(place.arrays()) == {f"shards/{worn}.npy"}
    assert len(shards.places(place.files, left_out=True).stored) == 274
    assert decodes == []
    fresh = Place(place.root / "fresh")
    fresh.ingest(place.photos)
    assert fresh.manifest == place.manifest
    assert order(fresh) == order(place)


def test_many_small_additions_leave_few_shards(place: Place, decodes: list[str]) -> None:
    images = named(drawn(300))
    place.write(dict(list(images.items())[:100]))
    place.ingest()
    most = 0
    for start in range(100, 300, 8):
        place.write(dict(list(images.items())[start : start + 8]))
        place.ingest()
        most = max(most, len(place.arrays()))
    assert len(decodes) == 300
    assert SMALL_SHARDS <= most <= SMALL_SHARDS + 1
    fresh = Place(place.root / "fresh")
    fresh.ingest(place.photos)
    assert fresh.manifest == place.manifest
    assert order(fresh) == order(place)


@pytest.mark.parametrize("change", [{"image_size": 9}, {"channels": "rgb"}, {"channels": "hsv"}])
def test_another_form_decodes_all_images_again(
    place: Place, decodes: list[str], change: dict[str, Any]
) -> None:
    place.write(named(drawn(200)))
    place.ingest()
    decodes.clear()
    place.ingest(**change)
    assert len(decodes) == 200
    side, channels = change.get("image_size", 8), COUNT[place.dataset(**change).channels]
    assert read_split(place.files, "train")[0].shape[1:] == (side, side, channels)
    fresh = Place(place.root / "fresh")
    fresh.ingest(place.photos, **change)
    assert tree(fresh.prepared) == tree(place.prepared)


def test_other_shares_decode_nothing_again(place: Place, decodes: list[str]) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    decodes.clear()
    place.ingest(val=0.3)
    assert decodes == []


# What is damaged.


def damaged_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damaged_away(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        (".npy", damaged_pixel),
        *((kind, damage) for kind in shards.KINDS for damage in (damaged_end, damaged_away)),
    ],
)
def test_a_damaged_former_version_is_made_anew_where_it_is_damaged(
    place: Place,
    decodes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    damage: Callable[[Path], None],
) -> None:
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 60 * 64)
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    decodes.clear()
    damage(Path(place.files[f"shards/{shards.shard_names(place.files)[0]}{kind}"]))
    place.ingest()
    assert tree(place.prepared) == before
    assert len(decodes) == 60


def test_a_torn_manifest_makes_a_version_anew(place: Place, decodes: list[str]) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    (place.prepared / "manifest.json").write_bytes(b'{"form": ')
    place.ingest()
    assert tree(place.prepared) == before
    assert len(decodes) == 240
