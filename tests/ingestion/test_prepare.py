"""A version follows from its images alone, by whatever road they came, and tells what it holds."""

import csv
import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convoy import content, shards
from convoy.datamodule import read_split
from convoy.decoding import decode
from convoy.ingestion.render import render
from convoy.splits import SPLITS
from tests.idx_files import idx
from tests.ingestion.places import Pixels, Place, damaged_pixel, drawn, encoded, named, order, whole
from tests.origins.archives import pack
from tests.origins.held import tree

# The same images by any road.


def as_folder(root: Path, images: dict[str, Pixels]) -> Path:
    Place(root).write(images)
    return root / "photos"


def as_archive(kind: str) -> Callable[[Path, dict[str, Pixels]], Path]:
    def make(root: Path, images: dict[str, Pixels]) -> Path:
        root.mkdir(exist_ok=True)
        members = {path: encoded(image) for path, image in images.items()}
        return pack(root / f"photos.{kind}", members, kind)

    return make


def as_table(root: Path, images: dict[str, Pixels]) -> Path:
    """Files whose names say nothing, and a table that says all."""
    rows = []
    for number, (path, image) in enumerate(images.items()):
        *splits, label, _ = path.split("/")
        Place(root).write({f"{number}.png": image})
        rows.append([f"{number}.png", label, *splits])
    with (root / "photos/labels.csv").open("w", newline="") as stream:
        header = ["path", "label", "split"][: len(rows[0])]
        csv.writer(stream).writerows([header, *rows])
    return root / "photos/labels.csv"


def as_bmp(root: Path, images: dict[str, Pixels]) -> Path:
    """In another format, and in another order."""
    for path, image in reversed(images.items()):
        target = root / "photos" / f"{path[:-9]}{99999 - int(path[-9:-4])}.bmp"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(image, "BMP"))
    return root / "photos"


def as_idx(root: Path, images: dict[str, Pixels]) -> Path:
    (root / "idx").mkdir(parents=True)
    parts: dict[str, list[tuple[Pixels, int]]] = {}
    for path, image in images.items():
        *splits, label, _ = path.split("/")
        parts.setdefault("".join(f"{split}-" for split in splits), []).append((image, int(label)))
    for part, members in parts.items():
        pixels = np.stack([image[..., 0] for image, _ in members])
        labels = np.array([label for _, label in members], np.uint8)
        for name, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            (root / f"idx/{part}{name}-ubyte.gz").write_bytes(gzip.compress(idx(values)))
    return root / "idx"


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize(
    "make", [as_archive("zip"), as_archive("tar.gz"), as_table, as_bmp, as_idx]
)
def test_the_same_images_by_any_road_are_the_same_version(
    tmp_path: Path, make: Callable[[Path, dict[str, Pixels]], Path], official: bool
) -> None:
    images = named(drawn(120))
    if official:
        images = {
            f"{'test' if number % 5 == 0 else 'train'}/{path}": image
            for number, (path, image) in enumerate(images.items())
        }
    one = Place(tmp_path / "one").ingest(as_folder(tmp_path / "origin", images))
    settings: dict[str, Any] = {"source": "idx"} if make is as_idx else {}
    other = Place(tmp_path / "other").ingest(make(tmp_path / "way", images), **settings)
    assert one.manifest["digest"] == other.manifest["digest"]
    assert order(one) == order(other)
    assert sum(map(len, order(one))) == 120
    if official:
        assert len(order(one)[2]) == 24


def test_one_pixel_label_split_or_setting_makes_another_version(tmp_path: Path) -> None:
    images = named(drawn(200))
    other = {path: image.copy() for path, image in images.items()}
    other["0/00000.png"][0, 0] ^= 1
    relabelled = {path.replace("0/00000", "1/00000"): image for path, image in images.items()}
    fewer = dict(list(images.items())[1:])
    cases: list[tuple[dict[str, Pixels], dict[str, Any]]] = [
        (images, {}),
        (other, {}),
        (relabelled, {}),
        (fewer, {}),
        (images, {"val": 0.3}),
        (images, {"image_size": 9}),
        (images, {"channels": "rgb"}),
        (images, {"channels": "hsv"}),
    ]
    digests = set()
    for number, (images, settings) in enumerate(cases):
        place = Place(tmp_path / str(number))
        place.write(images)
        digests.add(place.ingest(**settings).manifest["digest"])
    assert len(digests) == 8


def test_other_shards_hold_the_same_version_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = named(drawn(120))
    one, other = Place(tmp_path / "one"), Place(tmp_path / "other")
    one.write(images)
    one.ingest()
    monkeypatch.setattr("convoy.ingestion.store.SHARD_BYTES", 20 * 64)
    other.write(images)
    other.ingest()
    assert len(other.arrays()) == 6
    assert order(one) == order(other)
    assert one.manifest == other.manifest
    assert one.report == other.report


# What is told.


def test_manifest_tables_and_arrays_tell_the_same_story(place: Place) -> None:
    place.write(named(drawn(120)))
    manifest = place.ingest().manifest
    assert manifest["classes"] == ["0", "1"]
    where = shards.places(place.files)
    for split in SPLITS:
        images, labels = read_split(place.files, split)
        told = [where.stored[one] for one in where.of(split)]
        assert [shards.digest(image) for image in images.numpy()] == [one.pixels for one in told]
        names = [manifest["classes"][label] for label in labels.tolist()]
        assert names == [one.label for one in told]
        assert manifest["counts"][split] == {name: names.count(name) for name in ("0", "1")}
        for one in told:
            pixels = decode(place.photos / one.path, "gray")
            assert one.content == content.of_pixels(pixels)
            assert one.file == hashlib.sha256((place.photos / one.path).read_bytes()).digest()
            assert (one.format, one.width, one.height) == ("PNG", 12, 12)
            assert one.path.startswith(f"{one.label}/")


def test_the_digest_is_that_of_what_training_reads(place: Place) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    whole(place)
    damaged_pixel(Path(place.files[place.arrays()[0]]))
    with pytest.raises(AssertionError):
        whole(place)


def test_bad_files_are_listed_and_originals_untouched(place: Place) -> None:
    place.write(named(drawn(199)))
    (place.photos / "1/bad.png").write_bytes(encoded(drawn(1, seed=9)[0])[:-30])
    before = tree(place.photos)
    place.ingest()
    assert tree(place.photos) == before
    assert place.manifest["totals"]["quarantined"] == 1
    (listed,) = place.report["findings"]["quarantined"]["listed"]
    assert (listed["path"], listed["rule"], listed["label"]) == ("1/bad.png", "truncated", "1")
    assert "1/bad.png" in render(place.files, place.report)


def test_files_that_are_not_what_their_names_say_are_one_warning(place: Place) -> None:
    images = named(drawn(120))
    place.write(images)
    for path in list(images)[:15]:
        (place.photos / path).write_bytes(encoded(images[path], "BMP"))
    (place.photos / "0/upper.PNG").write_bytes(encoded(drawn(1, seed=7)[0]))
    place.ingest()
    for _ in range(2):  # what is known from the former version too
        found = [
            finding
            for finding in place.report["findings"]["warning"]["listed"]
            if finding["rule"] == "extension"
        ]
        assert len(found) == 1
        assert found[0]["path"] == "0/00000.png"
        assert "is a BMP, whatever its name says, and 14 more files" in found[0]["reason"]
        place.ingest()


def test_a_copy_in_another_format_has_the_name_of_its_own_format(place: Place) -> None:
    images = drawn(120)
    place.write(named(images))
    (place.photos / "0/copy.bmp").write_bytes(encoded(images[0], "BMP"))
    for _ in range(2):
        place.ingest()
        assert place.manifest["totals"]["duplicates"] == 1
        assert "extension" not in place.report["rules"]
