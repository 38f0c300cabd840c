"""No skew: a raw file through the registered model answers as its prepared form in evaluation."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from convoy import registry, shards
from convoy.decoding import decode
from convoy.evaluation.parity import TOLERANCE
from convoy.graph import ArchitectureRecord, load_exported, load_graph, probabilities
from convoy.inference.predict import predict
from convoy.registration import main as register
from tests.ingestion.animals import LENIENT
from tests.ingestion.places import Place
from tests.registrations import trained
from tests.stores import new_store

REAL = Path(__file__).parents[2] / "shared" / "data" / "sign-digits" / "sign-digits.tar.gz"
COUNT = 100

pytestmark = [
    pytest.mark.slow,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def made() -> Iterator[Image.Image]:
    """Coarse noise of mixed sizes, so that no two are alike."""
    random = np.random.default_rng(0)
    while True:
        cells = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        width, height = random.integers(24, 300, 2).tolist()
        yield cells.resize((width, height), Image.Resampling.BICUBIC)


def real() -> Iterator[Image.Image]:
    """Photographs of hands, class by class in turn, each cut to a size of its own."""
    random = np.random.default_rng(0)
    with tarfile.open(REAL) as archive:
        names = [name for name in archive.getnames() if name.lower().endswith(".jpg")]
        for place in random.permutation(len(names)).tolist():
            stream = archive.extractfile(names[place])
            assert stream
            image = Image.open(io.BytesIO(stream.read())).convert("RGB")
            left, top = (random.integers(0, 30, 2)).tolist()
            yield image.crop((left, top, image.width, image.height))


def write(folder: Path, images: Iterator[Image.Image]) -> None:
    """Write `COUNT` files of two classes, in every form that the decoder takes."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for number in range(COUNT):
        image = next(images)
        if number % 20 < 10:  # photographs, decoded at a part of their size where they are JPEGs
            image = image.resize((300, 400))
        place = folder / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        name = place / f"{number:03}"
        gray = np.asarray(image.convert("L"), np.uint16) * 257
        match number % 10:
            case 0 | 1:
                image.save(f"{name}.jpg", quality=85)
            case 2:
                image.save(f"{name}.png")
            case 3:
                image.convert("CMYK").save(f"{name}.jpg", quality=95)
            case 4:
                Image.fromarray(gray).save(f"{name}.png")
            case 5:
                image.save(f"{name}.jpg", exif=turned)
            case 6:
                image.save(f"{name}.webp")
            case 7:
                image.quantize(64).save(f"{name}.png")
            case 8:
                image.save(f"{name}.tiff")
            case 9:
                image.putalpha(200)
                image.save(f"{name}.png")


def test_a_hundred_files_of_mixed_sizes_and_formats_answer_as_their_prepared_forms(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(tmp_path / "place", {"channels": "rgb", "image_size": 32})
    write(place.photos, real() if REAL.is_file() else made())
    place.ingest(checks=LENIENT)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    (tmp_path / "project").mkdir()
    project, client = new_store(tmp_path / "project", tmp_path_factory, monkeypatch)
    spec = trained(project, client, place.files, 0)
    register(spec, lambda event: None)

    where = shards.places(place.files)
    assert len(where.stored) >= COUNT - 5, "near-duplicates apart, all are part of the version"
    prepared = shards.gather(place.files, where, np.arange(len(where.stored)))
    record = ArchitectureRecord(**spec["record"])
    network = load_graph(record, Path(spec["folder"]) / "model.safetensors")
    expected = probabilities(network, torch.from_numpy(prepared)).numpy()

    there = registry.download(
        registry.version(client, "digits", "1"), tmp_path / "there", client.tracking_uri
    )
    graph = load_exported(there)
    files = [place.photos / one.path for one in where.stored]
    for file, answer in zip(files, expected, strict=True):
        raw = torch.from_numpy(decode(file, record.channels, side=record.image_size)).unsqueeze(0)
        assert np.abs(probabilities(graph, raw).numpy()[0] - answer).max() <= TOLERANCE, file
    said = predict(there, files)
    assert [one.label for one in said] == [record.classes[p] for p in expected.argmax(axis=1)]
    shares = np.array([one.probability for one in said])
    assert np.abs(shares - expected.max(axis=1)).max() <= TOLERANCE
    suffixes = {file.suffix for file in files}
    assert suffixes == {".jpg", ".png", ".webp", ".tiff"}
