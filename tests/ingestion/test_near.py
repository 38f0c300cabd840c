"""Copies of a photograph are found, different images are not."""

import gzip
import io
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from convoy.ingestion import near
from convoy.ingestion.near import TABLES, WINDOW, groups, pairs, signatures

DATA = Path(__file__).parents[3] / "shared" / "data"
SIMILARITY = 0.98
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the public data sets in shared/data beside the checkout"
)


def brute_force(found: NDArray[np.int8], similarity: float) -> set[tuple[int, int]]:
    """The definition of `pairs`, word for word, over all pairs."""
    waves = found[:, 1:].astype(np.float64)
    length = np.sqrt((waves**2).sum(axis=1))
    detail = found[:, 0].astype(np.float64) / 127
    alike = set()
    for one in np.flatnonzero(length):
        others = np.flatnonzero(length[one + 1 :]) + one + 1
        cosine = waves[others] @ waves[one] / length[others] / length[one]
        least = 1 - (1 - similarity) * np.minimum(detail[others], detail[one]) ** 2
        alike |= {(int(one), int(other)) for other in others[cosine >= least]}
    return alike


def found_pairs(images: NDArray[np.uint8], similarity: float = SIMILARITY) -> set[tuple[int, int]]:
    found = pairs(signatures(images), similarity).tolist()
    return {(one, other) for one, other in found}


def photographs(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Random images with the spectrum of photographs: amplitude falls as one over frequency."""
    draw = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)
    frequency = np.sqrt(rows**2 + columns**2)
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(draw.normal(size=(count, side, side))) / frequency
    image = np.fft.ifft2(spectrum).real
    image -= image.mean(axis=(1, 2), keepdims=True)
    image /= image.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 40 * image, 0, 255).astype(np.uint8)[..., None]


def cifar10() -> list[Image.Image]:
    """Every second one of its 10,000 test images, which come class by class."""
    images = []
    with tarfile.open(DATA / "cifar10" / "cifar10-jpeg.tar.gz") as archive:
        files = [member for member in archive if member.name.startswith("test/")]
        for member in [member for member in files if member.isfile()][::2]:
            stream = archive.extractfile(member)
            assert stream is not None
            images.append(Image.open(io.BytesIO(stream.read())).convert("RGB"))
    return images


def mnist() -> NDArray[np.uint8]:
    content = gzip.decompress((DATA / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28, 1)


def prepared(images: list[Image.Image]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(image.resize((32, 32), Image.Resampling.BOX)) for image in images])


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 3, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality 90": lambda image: recompressed(image, 90),
    "quality 50": lambda image: recompressed(image, 50),
    "half the size": lambda image: resized(image, 0.5),
    "twice the size": lambda image: resized(image, 2),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.1),
    "noise": noisy,
}


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return cifar10()


def test_a_signature_is_a_vector_of_length_127_beside_the_detail() -> None:
    found = signatures(photographs(100))
    assert found.shape == (100, 64) and found.dtype == np.int8
    length = np.sqrt((found[:, 1:].astype(float) ** 2).sum(axis=1))
    assert np.abs(length - 127).max() < 3
    assert (found[:, 0] > 50).all()


def test_a_signature_is_the_same_alone_in_company_and_in_any_channel_order() -> None:
    images = np.concatenate([photographs(2000, seed=seed) for seed in range(3)], axis=3)
    together = signatures(images)
    assert (together[1500:1501] == signatures(images[1500:1501])).all()
    assert (together == signatures(np.ascontiguousarray(images[..., ::-1]))).all()


def test_signatures_do_not_change_from_one_machine_to_the_next() -> None:
    rows, columns = np.mgrid[:20, :28]
    image = ((rows * 7 + columns * columns * 3) % 256).astype(np.uint8)[None, ..., None]
    assert signatures(image)[0, :9].tolist() == [79, -32, -27, -39, -35, -33, -14, -5, -19]


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (17, 31), (64, 64), (250, 8)])
def test_any_size_and_any_number_of_channels_has_a_signature(shape: tuple[int, int]) -> None:
    for channels in (1, 3, 4):
        images = np.random.default_rng(0).integers(0, 256, (3, *shape, channels), np.uint8)
        assert signatures(images).any(axis=1).all()


def test_flat_images_are_near_duplicates_of_nothing() -> None:
    images = np.full((50, 16, 16, 3), 200, np.uint8)
    images[::2, 3, 3] += 1
    assert not signatures(images).any()
    assert len(pairs(signatures(images), SIMILARITY)) == 0


def test_no_images_have_no_pairs() -> None:
    found = signatures(np.empty((0, 32, 32, 1), np.uint8))
    assert pairs(found, SIMILARITY).shape == (0, 2)


def test_planted_copies_are_found_and_nothing_else() -> None:
    images = photographs(1000)
    noise = np.random.default_rng(1).normal(0, 3, (50, 32, 32, 1))
    copies = np.clip(images[:50] * 0.9 + 10 + noise, 0, 255).astype(np.uint8)
    found = found_pairs(np.concatenate([images, copies]))
    assert found == {(number, 1000 + number) for number in range(50)}


def test_pairs_are_those_of_every_image_with_every_other() -> None:
    images = photographs(1500)
    noise = np.random.default_rng(1).normal(0, 25, images.shape)
    copies = np.clip(images + noise, 0, 255).astype(np.uint8)
    found = signatures(np.concatenate([images, copies]))
    expected = brute_force(found, 0.95)
    got = {(one, other) for one, other in pairs(found, 0.95).tolist()}
    assert got <= expected
    assert len(got) >= 0.95 * len(expected) and len(expected) > 500


def test_pairs_do_not_depend_on_the_order_of_the_images() -> None:
    found = signatures(np.concatenate([photographs(300), photographs(300)]))
    order = np.random.default_rng(0).permutation(600)
    place = np.argsort(order)
    expected = {tuple(sorted((place[one], place[other]))) for one, other in pairs(found, 0.98)}
    assert {tuple(pair) for pair in pairs(found[order], 0.98).tolist()} == expected


def test_more_images_never_part_a_pair() -> None:
    found = signatures(np.concatenate([photographs(2000), photographs(500)]))
    before = {tuple(pair) for pair in pairs(np.delete(found, np.s_[600:2000], 0), 0.98).tolist()}
    moved = {(one, other + 1400 if other >= 600 else other) for one, other in before}
    assert moved and moved <= {tuple(pair) for pair in pairs(found, 0.98).tolist()}


def test_a_thousand_copies_of_one_image_are_one_group_and_not_a_million_pairs() -> None:
    images = np.repeat(photographs(1), 3000, axis=0)
    images[np.arange(3000), np.arange(3000) % 32, np.arange(3000) // 32 % 32, 0] ^= 3
    near = pairs(signatures(images), SIMILARITY)
    assert len(near) < 3000 * WINDOW * TABLES
    assert (groups(3000, near, []) == 0).all()


def test_groups_are_joined_by_pairs_and_by_names() -> None:
    near = np.array([[1, 2], [4, 5]])
    names = ["x", None, None, "y", "x", None, "y"]
    assert groups(7, near, names).tolist() == [0, 1, 1, 3, 0, 0, 3]


def test_groups_are_the_components_of_random_graphs() -> None:
    draw = random.Random(0)
    for _ in range(50):
        count = draw.randint(1, 60)
        edges = [(draw.randrange(count), draw.randrange(count)) for _ in range(draw.randint(0, 50))]
        lowest = list(range(count))
        for _ in range(count):
            for one, other in edges:
                lowest[one] = lowest[other] = min(lowest[one], lowest[other])
        near = np.array(edges, np.int64).reshape(-1, 2)
        assert groups(count, near, [None] * count).tolist() == lowest


def test_a_long_chain_is_grouped_at_once() -> None:
    order = np.random.default_rng(0).permutation(200_000)
    near = np.stack([order[:-1], order[1:]], axis=1)
    assert (groups(200_000, near, []) == 0).all()


@needs_data
@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_photographs_are_found(kind: str, photos: list[Image.Image]) -> None:
    chosen = photos[::100]
    images = np.concatenate([prepared(chosen), prepared([COPIES[kind](one) for one in chosen])])
    found = found_pairs(images)
    assert found <= {(number, 50 + number) for number in range(50)}
    assert len(found) >= 45


@needs_data
def test_photographs_have_the_pairs_of_an_exhaustive_search(photos: list[Image.Image]) -> None:
    images = prepared(photos)
    copies = prepared([recompressed(image, 50) for image in photos[::10]])
    found = signatures(np.concatenate([images, copies]))
    expected = brute_force(found, SIMILARITY)
    got = {(one, other) for one, other in pairs(found, SIMILARITY).tolist()}
    assert got <= expected
    assert len(got) >= 0.95 * len(expected)


def test_small_digits_are_no_near_duplicates() -> None:
    images = np.round(load_digits().images * 255 / 16).astype(np.uint8)[..., None]
    assert found_pairs(images) == set()
    assert found_pairs(images.repeat(4, axis=1).repeat(4, axis=2)) == set()


@needs_data
def test_handwritten_digits_are_no_near_duplicates() -> None:
    """Thousands of ones look alike: chained, they would be one giant group."""
    assert found_pairs(mnist()) == set()


def test_comparisons_grow_with_the_images_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worst case: every image looks like every other."""
    neighbours, compared = near._neighbours, 0

    def counted(cell: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        nonlocal compared
        for one, other in neighbours(cell):
            compared += len(one)
            yield one, other

    monkeypatch.setattr(near, "_neighbours", counted)
    one = signatures(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), np.uint8))
    found = []
    for count in (1000, 4000):
        compared = 0
        pairs(one.repeat(count, axis=0), SIMILARITY)
        found.append(compared)
    assert found[0] > TABLES * WINDOW * 900
    assert found[1] < 4.4 * found[0]
