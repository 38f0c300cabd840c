"""Colours: the moments of the training images, and a raw photograph as its prepared form."""

import numpy as np
import pytest
import torch
from PIL import Image

from convoy import shards
from convoy.datamodule import read_split
from convoy.decoding import COUNT, Channels, decode
from convoy.ingestion.render import render
from convoy.preprocessing import Preprocessing, colour
from tests.ingestion.animals import LENIENT
from tests.ingestion.places import Place, drawn, encoded, named
from tests.test_graph import exported


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
        raw = torch.from_numpy(decode(place.photos / one.path, channels, side=24))[None]
        assert torch.equal(preprocessing(raw), expected), one.path
        assert torch.equal(graph(raw), expected), one.path
    assert number == 39
