"""A version follows from its images alone, grows by what is new, and is whole or not there."""

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from convoy import shards
from convoy.datamodule import read_split
from convoy.decoding import COUNT, Channels, decode
from convoy.errors import ConvoyError, DataRefused
from convoy.ingestion import decoded as decoding
from convoy.ingestion.fetch import fetch
from convoy.ingestion.prepare import files_of, prepare
from convoy.ingestion.render import render, write_page
from convoy.ingestion.store import SMALL_SHARDS
from convoy.preprocessing import Preprocessing, colour
from convoy.settings import Checks, Dataset
from convoy.splits import SPLITS
from tests.idx_files import idx
from tests.ingestion.animals import CHECKS, LENIENT
from tests.origins.archives import pack
from tests.origins.held import tree
from tests.test_graph import exported

Pixels = NDArray[np.uint8]


@dataclass
class Place:
    """Where a dataset comes in, and what is made of it."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def prepared(self) -> Path:
        return self.root / "prepared"

    @property
    def files(self) -> dict[str, str]:
        return files_of(self.prepared)

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.prepared / "manifest.json").read_text())
        return found

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.prepared / "report.json").read_text())
        return found

    def dataset(self, **settings: Any) -> Dataset:
        values = {"source": "files", "model": "m", "channels": "gray", "image_size": 8}
        shares = {"val": 0.2, "test": 0.2}
        return Dataset.model_validate(values | shares | self.settings | settings)

    def write(self, images: dict[str, Pixels]) -> None:
        for path, pixels in images.items():
            (self.photos / path).parent.mkdir(parents=True, exist_ok=True)
            (self.photos / path).write_bytes(encoded(pixels))

    def ingest(self, *origins: Path, checks: Checks = CHECKS, **settings: Any) -> "Place":
        """Fetch from the origins, or from the folder of photos, and prepare."""
        dataset = self.dataset(**settings)
        places = tuple(map(str, origins or (self.photos,)))
        fetch(dataset, places, self.root / "raw", self.root / "memory")
        return self.prepare(checks, **settings)

    def prepare(self, checks: Checks = CHECKS, **settings: Any) -> "Place":
        reports = self.root / "reports"
        raw = self.root / "raw"
        prepare("animals", self.dataset(**settings), checks, raw, self.prepared, reports)
        return self

    def known(self) -> dict[bytes, shards.Stored]:
        return {one.content: one for one in shards.places(self.files).stored}

    def arrays(self) -> list[str]:
        return sorted(name for name in self.files if name.endswith(".npy") and "near" not in name)


def encoded(pixels: Pixels, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[pixels.shape[2]]
    Image.fromarray(flat, mode).save(stream, form)
    return stream.getvalue()


def drawn(count: int, side: int = 12, channels: int = 1, seed: int = 0) -> list[Pixels]:
    draw = np.random.default_rng(seed)
    return list(draw.integers(0, 256, (count, side, side, channels), np.uint8))


def named(images: list[Pixels], start: int = 0) -> dict[str, Pixels]:
    """Images of two classes by the paths of their files."""
    return {f"{n % 2}/{n:05}.png": image for n, image in enumerate(images, start)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that are decoded."""
    names: list[str] = []

    def noted(data: bytes, channels: Channels, name: str = "") -> Pixels:
        names.append(name)
        return decode(data, channels, name)

    monkeypatch.setattr(decoding, "decode", noted)
    return names


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


def order(place: Place) -> list[list[bytes]]:
    return [
        [shards.digest(image) for image in read_split(place.files, split)[0].numpy()]
        for split in SPLITS
    ]


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
    for number, (content, settings) in enumerate(cases):
        place = Place(tmp_path / str(number))
        place.write(content)
        digests.add(place.ingest(**settings).manifest["digest"])
    assert len(digests) == 8


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


# What grows, changes and goes.


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


def damaged_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


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
            assert one.content == decoding.content_hash(pixels)
            assert one.file == hashlib.sha256((place.photos / one.path).read_bytes()).digest()
            assert (one.format, one.width, one.height) == ("PNG", 12, 12)
            assert one.path.startswith(f"{one.label}/")


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


@pytest.mark.parametrize("bad", [1, 2, 3, 5])
def test_one_bad_file_in_a_hundred_is_put_up_with_and_no_more(place: Place, bad: int) -> None:
    place.write(named(drawn(200 - bad)))
    for number in range(bad):
        (place.photos / f"{number % 2}/bad {number}.png").write_bytes(b"")
    if bad <= 2:
        place.ingest()
        assert place.manifest["totals"]["quarantined"] == bad
    else:
        with pytest.raises(DataRefused, match=rf"{bad} of 200 files .*checks.quarantined"):
            place.ingest()


@pytest.mark.parametrize("first", [False, True])
def test_a_refusal_leaves_the_version_as_it_was_and_a_report(place: Place, first: bool) -> None:
    if not first:
        place.write(named(drawn(120)))
        place.ingest()
        assert not (place.root / "reports").exists()
    before = tree(place.prepared)
    place.write({f"2/{number}.png": image for number, image in enumerate(drawn(1, seed=5))})
    with pytest.raises(DataRefused, match=r"dataset 'animals'.*page\.html") as refused:
        place.ingest()
    assert refused.value.exit_code == 3
    assert tree(place.prepared) == before
    there = {"memory", "photos", "raw", "reports"} | (set() if first else {"prepared"})
    assert {path.name for path in place.root.iterdir()} == there
    report = json.loads((place.root / "reports/report.json").read_text())
    assert report["version"] == ""
    reason = report["findings"]["refused"]["listed"][0]["reason"]
    assert reason in str(refused.value)
    page = (place.root / "reports/page.html").read_text()
    assert page.count("data:image/png") > (0 if first else 10)


def test_a_dataset_of_bad_files_alone_is_refused_with_a_report(place: Place) -> None:
    (place.photos / "0").mkdir(parents=True)
    (place.photos / "0/1.png").write_bytes(b"")
    with pytest.raises(DataRefused, match="1 of 1 files"):
        place.ingest()
    assert (place.root / "reports/page.html").is_file()


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


# Colours.


@pytest.mark.parametrize("channels", COUNT)
def test_moments_are_those_of_the_coloured_training_images(
    place: Place, channels: Channels
) -> None:
    count = COUNT[channels]
    images = named(drawn(160, channels=count))
    for path, pixels in images.items():
        target = place.photos / path.replace(".png", ".tiff")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(pixels, "TIFF"))
    place.ingest(channels=channels)
    train = read_split(place.files, "train")[0]
    if channels == "hsv":
        converted = [np.array(Image.fromarray(i, "RGB").convert("HSV")) for i in train.numpy()]
        expected, near = np.stack(converted).astype(np.float64), 0.6  # Pillow cuts off
        ours = colour(train.permute(0, 3, 1, 2), "hsv").permute(0, 2, 3, 1).double().numpy()
        assert place.manifest["mean"] == pytest.approx(ours.mean(axis=(0, 1, 2)), abs=0.05)
        assert place.manifest["std"] == pytest.approx(ours.std(axis=(0, 1, 2)), abs=0.05)
    else:
        expected, near = train.numpy().astype(np.float64), 1e-6
    assert place.manifest["mean"] == pytest.approx(expected.mean(axis=(0, 1, 2)), abs=near)
    assert place.manifest["std"] == pytest.approx(expected.std(axis=(0, 1, 2)), abs=near)
    page = render(place.files, place.report)
    assert page.count("data:image/png") >= 20


@pytest.mark.slow
@pytest.mark.parametrize("channels", COUNT)
def test_a_raw_photograph_gives_the_bits_of_its_prepared_form(
    place: Place, channels: Channels
) -> None:
    """No train/serve skew: decoded and preprocessed for a prediction, or read as prepared."""
    draw = np.random.default_rng(3)
    for number in range(40):
        form = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")[number % 5]
        height, width = draw.integers(9, 300, 2)
        count = (1, 3)[number % 2] if form != "WEBP" else 3
        pixels = draw.integers(0, 256, (height, width, count), np.uint8)
        pixels = pixels[: 16 + number, : 24 + number] if number % 7 == 0 else pixels
        target = place.photos / f"{number % 2}/{number}.{form.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(pixels, form))
    place.ingest(channels=channels, image_size=24, checks=LENIENT.model_copy(update={"rarest": 1}))
    manifest = place.manifest
    preprocessing = Preprocessing(24, channels, manifest["mean"], manifest["std"])
    example = torch.zeros(2, 40, 50, COUNT[channels], dtype=torch.uint8)
    graph = exported(preprocessing, example).module()
    where = shards.places(place.files)
    for number, one in enumerate(where.stored):
        prepared = torch.from_numpy(shards.gather(place.files, where, np.array([number])))
        expected = preprocessing.normalise(prepared.permute(0, 3, 1, 2))
        raw = torch.from_numpy(decode(place.photos / one.path, channels))[None]
        assert torch.equal(preprocessing(raw), expected), one.path
        assert torch.equal(graph(raw), expected), one.path
    assert number == 39


# Crashes.


def test_a_full_disk_leaves_the_version_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.write(named(drawn(20, seed=1), start=500))

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_pixels", full)
        with pytest.raises(ConvoyError, match=r"cannot write .*No space left.*free some space"):
            place.ingest()
    assert tree(place.prepared) == before
    assert {path.name for path in place.root.iterdir()} == {"memory", "photos", "prepared", "raw"}


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_leaves_the_version_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.write(named(drawn(20, seed=1), start=500))
    rename, renames = Path.rename, []

    def failed(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failed)
        with pytest.raises(ConvoyError, match="the former version is as it was"):
            place.prepare()
    assert tree(place.prepared) == before


def test_a_version_between_the_two_renames_is_put_back(place: Place, decodes: list[str]) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.prepared.rename(place.root / ".prepared.former")
    (place.root / ".prepared.draft").mkdir()
    decodes.clear()
    place.ingest()
    assert tree(place.prepared) == before
    assert decodes == []
    assert not any(path.name.startswith(".") for path in place.root.iterdir())


PROGRAM = """
import sys
from pathlib import Path
from tests.ingestion.test_prepare import Place
place = Place(Path(sys.argv[1]))
print("ready", flush=True)
place.prepare()
"""


def started(place: Place, repository: Path) -> subprocess.Popen[str]:
    """Start a preparation; return when its imports are done."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(place.root)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": f"{repository / 'src'}{os.pathsep}{repository}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_version(tmp_path: Path, repository: Path) -> None:
    images = named(drawn(3000, side=48))
    place, undisturbed = Place(tmp_path / "killed"), Place(tmp_path / "undisturbed")
    for one in (place, undisturbed):
        one.write(dict(list(images.items())[:1500]))
        one.ingest()
    former, digest = tree(place.prepared), place.manifest["digest"]
    for one in (place, undisturbed):
        one.write(dict(list(images.items())[1500:]))
        fetch(one.dataset(), (str(one.photos),), one.root / "raw", one.root / "memory")
    begin = time.monotonic()
    with started(undisturbed, repository) as process:
        begin = time.monotonic()
        assert process.wait(120) == 0
    lasts = time.monotonic() - begin
    chance = random.Random(4)
    hit = 0
    for number in range(6):
        with started(place, repository) as process:
            time.sleep(lasts * (number + chance.random()) / 7)
            process.send_signal(signal.SIGKILL)
            hit += process.wait(60) == -signal.SIGKILL
        if place.prepared.exists() and place.manifest["digest"] == digest:
            assert tree(place.prepared) == former
            whole(place)
        elif place.prepared.exists():
            assert tree(place.prepared) == tree(undisturbed.prepared)
        else:
            assert tree(place.root / ".prepared.former") == former
    assert hit >= 4
    place.prepare()
    assert tree(place.prepared) == tree(undisturbed.prepared)
    assert {path.name for path in place.root.iterdir()} == {"memory", "photos", "prepared", "raw"}


def whole(place: Place) -> None:
    """Check what training reads against the digest of the manifest."""
    manifest, where = place.manifest, shards.places(place.files)
    lines: Iterator[tuple[bytes, bytes]] = (
        (
            where.stored[number].content,
            b"\0".join(
                (
                    where.stored[number].content,
                    shards.digest(image),
                    f"{split}\0{manifest['classes'][label]}\n".encode(),
                )
            ),
        )
        for split in SPLITS
        for number, image, label in zip(
            where.of(split), *(part.numpy() for part in read_split(place.files, split)), strict=True
        )
    )
    form = [manifest["channels"], manifest["image_size"], manifest["classes"]]
    found = hashlib.sha256(json.dumps(form).encode())
    for _, line in sorted(lines):
        found.update(line)
    assert found.hexdigest() == manifest["digest"]


def test_the_digest_is_that_of_what_training_reads(place: Place) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    whole(place)
    damaged_pixel(Path(place.files[place.arrays()[0]]))
    with pytest.raises(AssertionError):
        whole(place)


def test_a_page_that_cannot_be_written_is_said_in_one_sentence(place: Place) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    taken = place.root / "taken"
    taken.write_text("a file, where the folder should be")
    with pytest.raises(ConvoyError, match=r"cannot write the page to .*taken.*is made"):
        write_page(files_of(place.prepared), taken)
