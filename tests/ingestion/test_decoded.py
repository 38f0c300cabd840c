"""Decoding gives the same images in the same order on any number of threads."""

import hashlib
import io
import itertools
import threading
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from convoy import content
from convoy.decoding import decode
from convoy.findings import Finding
from convoy.ingestion import decoded as decoding
from convoy.ingestion.decoded import BATCH, TOGETHER, Decoded, Known, decoded
from convoy.preprocessing import resize
from convoy.settings import Dataset
from convoy.sources.source import Encoded, LabelledImage

DATASET = Dataset(source="files", model="m", channels="rgb", image_size=16, val=0.2, test=0.2)


def file(path: str, data: bytes, label: str = "cat") -> LabelledImage:
    image = Encoded(hashlib.sha256(data).digest(), partial(bytes, data))
    return LabelledImage(path, image, label)


def photograph(number: int, form: str = "PNG") -> bytes:
    draw = np.random.default_rng(number)
    height, width = draw.integers(3, 60, 2)
    stream = io.BytesIO()
    Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8)).save(stream, form)
    return stream.getvalue()


def mixture() -> list[LabelledImage | Finding]:
    """Files of several sizes and formats, torn ones, pixels, and findings of the source."""
    entries: list[LabelledImage | Finding] = []
    for number in range(3 * BATCH + 7):
        match number % 8:
            case 0:
                entries.append(Finding("ignored", "hidden", f"{number}", "is hidden", "nothing"))
            case 1:
                entries.append(file(f"{number}.jpg", photograph(number, "JPEG")[:200]))
            case 2:
                pixels = np.full((9, number + 1, 1), number, np.uint8)
                entries.append(LabelledImage(f"{number}", pixels, "dog"))
            case 3:
                entries.append(file(f"{number}.jpg", photograph(number, "JPEG")))
            case _:
                entries.append(file(f"{number}.png", photograph(number)))
    return entries


def none(_: bytes) -> bool:
    return False


def told(found: Decoded | Known | Finding) -> tuple[object, ...]:
    if not isinstance(found, Decoded):
        return (found,)
    return (*found[:5], found.pixels.tobytes(), found.signature.tobytes())


def test_any_number_of_threads_gives_the_same_in_order() -> None:
    entries = mixture()
    one, four = (list(decoded(entries, DATASET, none, threads)) for threads in (1, 4))
    assert list(map(told, one)) == list(map(told, four))
    assert len(one) == len(entries)
    paths = [found.path if isinstance(found, Finding) else found.source.path for found in one]
    assert paths == [entry.path for entry in entries]


def test_an_image_is_what_decoding_and_the_one_resize_make_of_it() -> None:
    for found in decoded(mixture(), DATASET, none, 2):
        if not isinstance(found, Decoded) or not isinstance(found.source.image, Encoded):
            continue
        pixels = decode(found.source.image.read(), "rgb")
        assert found.content == content.of_pixels(pixels)
        assert (found.height, found.width) == pixels.shape[:2]
        expected = resize(torch.from_numpy(pixels[None]).permute(0, 3, 1, 2), 16)
        assert (found.pixels == expected[0].permute(1, 2, 0).numpy()).all()
        assert found.format == ("JPEG" if found.source.path.endswith("jpg") else "PNG")


def test_images_are_resized_alone_as_they_are_together(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = mixture()
    together = list(map(told, decoded(entries, DATASET, none, 2)))
    for bytes_at_once in (1, 4 * 60 * 60):
        monkeypatch.setattr(decoding, "TOGETHER", bytes_at_once)
        assert list(map(told, decoded(entries, DATASET, none, 2))) == together
    assert TOGETHER > 4 * 60 * 60


def test_a_torn_file_is_a_finding_with_its_class() -> None:
    entry = file("dog/1.jpg", photograph(1, "JPEG")[:200], "dog")
    (found,) = decoded([entry], DATASET, none)
    assert isinstance(found, Finding)
    assert (found.severity, found.rule) == ("quarantined", "truncated")
    assert (found.path, found.label) == ("dog/1.jpg", "dog")


def test_a_file_that_cannot_be_read_is_a_finding() -> None:
    def denied() -> bytes:
        raise PermissionError(13, "Permission denied")

    (found,) = decoded([LabelledImage("1.png", Encoded(bytes(32), denied), "c")], DATASET, none)
    assert isinstance(found, Finding)
    assert found.reason == "cannot be read (Permission denied)"


def test_a_known_file_is_not_even_read() -> None:
    def never() -> bytes:
        raise AssertionError

    entry = LabelledImage("1.png", Encoded(b"known", never), "c")
    assert list(decoded([entry], DATASET, b"known".__eq__)) == [Known(entry)]


def test_few_images_are_under_way_at_a_time() -> None:
    """A million files must not wait in memory for whoever takes them slowly."""
    taken = 0

    def entries() -> Iterator[LabelledImage]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield file(f"{number}.png", photograph(number % 10))

    images = decoded(entries(), DATASET, none, threads=2)
    for _ in range(10):
        next(images)
    images.close()  # type: ignore[attr-defined]
    assert taken <= 5 * BATCH


def test_threads_of_a_preparation_that_failed_are_gone_and_pytorch_has_its_own_again() -> None:
    def failing() -> Iterator[LabelledImage]:
        yield file("1.png", photograph(1))
        raise ValueError("the source")

    before, threads = threading.active_count(), torch.get_num_threads()
    with pytest.raises(ValueError, match="the source"):
        list(decoded(failing(), DATASET, none, 4))
    assert threading.active_count() == before
    assert torch.get_num_threads() == threads


def test_no_images_are_none() -> None:
    assert list(decoded([], DATASET, none)) == []
