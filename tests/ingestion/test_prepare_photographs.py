"""Photographs are decoded at a part of their size, and stay the images that they are."""

import io

import numpy as np
import pytest
from PIL import Image

from convoy import shards
from convoy.splits import SPLITS
from tests.ingestion.animals import LENIENT
from tests.ingestion.places import Place
from tests.pictures import jpeg

CHECKS = LENIENT.model_copy(update={"rarest": 1})


def photograph(number: int) -> Image.Image:
    """Clouds, of which no two are alike."""
    draw = np.random.default_rng(number)
    cells = Image.fromarray(draw.integers(0, 256, (7, 6, 3), np.uint8))
    return cells.resize((300, 400), Image.Resampling.BICUBIC)


@pytest.fixture
def photographs(place: Place) -> Place:
    for number in range(40):
        path = place.photos / f"{number % 2}/{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(np.asarray(photograph(number))))
    return place


def splits(place: Place) -> dict[str, list[str]]:
    where = shards.places(place.files)
    return {split: sorted(where.stored[one].path for one in where.of(split)) for split in SPLITS}


def test_another_image_size_moves_no_photograph_to_another_split(photographs: Place) -> None:
    """What was tested on stays tested on, so that champions of two sizes can be compared."""
    found = {}
    for side in (32, 100, 200):
        photographs.ingest(channels="rgb", image_size=side, checks=CHECKS)
        found[side] = splits(photographs)
        known = photographs.known().values()
        assert {(one.width, one.height) for one in known} == {(300, 400)}
    assert found[32] == found[100] == found[200]
    assert sum(map(len, found[32].values())) == 40


def test_a_copy_with_other_metadata_is_the_same_image_and_one_of_another_format_is_near(
    photographs: Place,
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    stream = io.BytesIO()
    photograph(0).save(stream, "JPEG", exif=exif, comment=b"seen at noon")
    (photographs.photos / "0/copy.jpg").write_bytes(stream.getvalue())
    with Image.open(photographs.photos / "0/02.jpg") as opened:
        opened.save(photographs.photos / "0/02.png")
    photographs.ingest(channels="rgb", image_size=32, checks=CHECKS)
    listed = photographs.report["findings"]["duplicate"]["listed"]
    same = [one for one in listed if one["rule"] == "same-image"]
    assert [(one["path"], one["others"]) for one in same] == [("0/copy.jpg", ["0/00.jpg"])]
    found = splits(photographs)
    assert any({"0/02.jpg", "0/02.png"} <= set(paths) for paths in found.values())
