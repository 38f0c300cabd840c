"""Ways of doing harm to a folder of photographs, for the table of faults."""

import io
import os
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as arrow  # type: ignore[import-untyped]
from PIL import Image
from pyarrow import parquet

from tests.ingestion.places import drawn, encoded, named
from tests.origins.archives import add, pack

Spoil = Callable[[Path], Path | None]
"""Does harm to a folder of photographs, or beside it; what it returns comes in instead of it."""

SEEN = {path: encoded(image) for path, image in named(drawn(200)).items()}
NEW = drawn(1, seed=9)[0]
PNG, JPEG = encoded(NEW), encoded(NEW, "JPEG")


def framed(form: str) -> bytes:
    stream, frames = io.BytesIO(), [Image.new("RGB", (12, 12), c) for c in ("red", "blue")]
    frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=100)
    return stream.getvalue()


def bomb(side: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", side, side) + PNG[24:29]
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.place),)


# Ways of doing harm.


def holds(path: str, content: bytes = PNG, *more: str) -> Spoil:
    def spoil(photos: Path) -> None:
        for one in (path, *more):
            (photos / one).parent.mkdir(parents=True, exist_ok=True)
            (photos / one).write_bytes(content)

    return spoil


def links(path: str, target: str) -> Spoil:
    def spoil(photos: Path) -> None:
        (photos.parent / "secret").mkdir()
        (photos.parent / "secret/key.png").write_bytes(PNG)
        (photos / path).symlink_to(target)

    return spoil


def special(kind: int) -> Spoil:
    return lambda photos: os.mknod(photos / "0/special.png", kind | 0o600)


def pickled(photos: Path) -> Path:
    objects = np.array([Harm(photos.parent / "harm")], object)
    np.savez(photos.parent / "images.npz", images=objects)
    return photos.parent / "images.npz"


def pickled_among_images(photos: Path) -> None:
    shutil.move(pickled(photos), photos / "0/images.npz")


def zipped(name: str, content: bytes = PNG) -> Spoil:
    """All images and one more member."""

    def spoil(photos: Path) -> Path:
        members = {**SEEN, name.format(outside=photos.parent): content}
        return pack(photos.parent / "photos.zip", members, "zip")

    return spoil


def tarred(name: str, content: bytes = b"", **header: object) -> Spoil:
    def spoil(photos: Path) -> Path:
        path = pack(photos.parent / "photos.tar", SEEN, "tar")
        with tarfile.open(path, "a") as archive:
            add(archive, name.format(outside=photos.parent), content, **header)
        return path

    return spoil


def crowded(photos: Path) -> Path:
    more = {f"0/x{number}.png": b"" for number in range(50)}
    return pack(photos.parent / "photos.zip", SEEN | more, "zip")


def cut_archive(photos: Path) -> Path:
    path = pack(photos.parent / "photos.tar.gz", SEEN, "tar.gz")
    os.truncate(path, path.stat().st_size // 2)
    return path


def ended_name(photos: Path) -> Path:
    path = pack(photos.parent / "photos.zip", {**SEEN, "0/1.pngX.exe": PNG}, "zip")
    path.write_bytes(path.read_bytes().replace(b"pngX", b"png\0"))
    return path


def table(*rows: str, code: str = "utf-8", header: str = "path,label,split") -> Spoil:
    """A row for each image, and others."""

    def spoil(photos: Path) -> Path:
        lines = [header, *(f"photos/{path},{path[0]}," for path in SEEN), *rows]
        (photos.parent / "labels.csv").write_bytes("\n".join(lines).encode(code))
        return photos.parent / "labels.csv"

    return spoil


def cut_parquet(photos: Path) -> Path:
    path = photos.parent / "labels.parquet"
    parquet.write_table(arrow.table({"path": list(SEEN), "label": list(SEEN)}), path)
    os.truncate(path, path.stat().st_size - 20)
    return path


def official(spoil: Spoil = lambda photos: None) -> Spoil:
    """A fifth of the images is for tests; then harm is done."""

    def made(photos: Path) -> Path:
        for number, path in enumerate(SEEN):
            place = photos.parent / "official" / ("train" if number % 5 else "test") / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos / path, place)
        spoil(photos.parent / "official")
        return photos.parent / "official"

    return made


def leaks(count: int, by: int) -> Spoil:
    """Test images that lie in train too, with one value changed `by`."""

    def spoil(folder: Path) -> None:
        for path in sorted((folder / "test/0").iterdir())[:count]:
            image = np.asarray(Image.open(path)).copy()[..., None]
            image[0, 0] ^= by
            (folder / f"train/0/leak {path.name}").write_bytes(encoded(image))

    return spoil


def lopsided(photos: Path) -> Path:
    for number, image in enumerate(drawn(612, side=8, seed=5)):
        split = ("train", "val", "test")[number % 3]
        label = "cat" if number < 6 else "dog"
        holds(f"{split}/{label}/{number}.png", encoded(image))(photos.parent / "lopsided")
    return photos.parent / "lopsided"


def removed(*paths: str) -> Spoil:
    def spoil(folder: Path) -> None:
        for path in paths:
            shutil.rmtree(folder / path)

    return spoil


def several(*spoils: Spoil) -> Spoil:
    def spoil(photos: Path) -> None:
        for one in spoils:
            one(photos)

    return spoil


def pair(images: bytes, labels: bytes) -> Spoil:
    def spoil(photos: Path) -> Path:
        holds("train-images-idx3-ubyte", images)(photos.parent / "idx")
        holds("train-labels-idx1-ubyte", labels)(photos.parent / "idx")
        return photos.parent / "idx"

    return spoil
