"""CIFAR-10 from its binary archive and from JPEG files: all of it, in order, or refused."""

import gzip
import hashlib
import io
import resource
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.published import Bytes, File
from convoy.settings import Dataset
from convoy.sources import cifar10
from convoy.sources.cifar10 import BINARY, CLASSES, JPEG, RECORD, SOURCE
from convoy.sources.source import Encoded, LabelledImage

CIFAR = Dataset(source="cifar10", model="m", channels="rgb", image_size=32, val=0.1, test=0.1)
ORIGIN = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"
real = pytest.mark.skipif(
    not ORIGIN.is_dir(), reason="shared/data/cifar10 is not beside this clone"
)
META = "".join(f"{name}\n" for name in CLASSES).encode() + b"\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CIFAR-10 of five training images and one test image of each class."""
    monkeypatch.setattr(cifar10, "IN_A_CLASS", {"train": 5, "test": 1})


def archived(members: dict[str, bytes], **more: tarfile.TarInfo) -> bytes:
    """Return a tar.gz; members come in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more.values():
            tar.addfile(info)
    return buffer.getvalue()


def records(seed: int) -> tuple[NDArray[np.uint8], bytes]:
    """Return ten images (N, C, H, W), one of each class, and their batch."""
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 3, 32, 32), np.uint8)
    batch = b"".join(bytes((label,)) + image.tobytes() for label, image in enumerate(pixels))
    return pixels, batch


def binary(**changed: bytes) -> dict[str, bytes]:
    """Return the members of a small binary archive, in the order of the published one."""
    members = {f"data_batch_{number}.bin": records(number)[1] for number in (1, 3, 4, 5, 2)} | {
        "batches.meta.txt": META,
        "test_batch.bin": records(0)[1],
        "readme.html": b"<html>",
    }
    return {
        f"cifar-10-batches-bin/{name}": changed.get(name.partition(".")[0], content)
        for name, content in members.items()
    }


def jpegs(prefix: str = "") -> dict[str, bytes]:
    """Return the members of a small JPEG archive; that they are no JPEG nobody looks at."""
    return {
        f"{prefix}{split}/{label}/{number:04}.jpg": f"{split} {label} {number}".encode()
        for split, count in (("train", 5), ("test", 1))
        for label in CLASSES
        for number in range(count)
    }


def read(folder: Path, name: str, content: bytes) -> list[LabelledImage]:
    (folder / name).write_bytes(content)
    found = list(SOURCE.read(CIFAR, folder))
    assert (folder / name).read_bytes() == content
    return [image for image in found if isinstance(image, LabelledImage)]


@pytest.mark.usefixtures("small")
def test_binary_records_become_images_by_row_by_column_by_channel(tmp_path: Path) -> None:
    found = read(tmp_path, BINARY.name, archived(binary()))
    assert len(found) == 60
    assert Counter(image.split for image in found) == {"train": 50, "test": 10}
    by_path = {image.path: image for image in found}
    third = by_path["data_batch_2.bin:3"]
    assert (third.label, third.split) == ("bird", "train")
    assert isinstance(third.image, np.ndarray)
    assert third.image.shape == (32, 32, 3) and third.image.flags.writeable
    assert (third.image == records(2)[0][2].transpose(1, 2, 0)).all()
    assert by_path["test_batch.bin:10"].label == "truck"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("prefix", ["", "./"])
def test_jpeg_files_come_as_they_are_in_the_archives_order(tmp_path: Path, prefix: str) -> None:
    members = jpegs(prefix)
    folder = tarfile.TarInfo(f"{prefix}train/cat")
    folder.type = tarfile.DIRTYPE
    found = read(tmp_path, JPEG.name, archived(members, folder=folder))
    assert [image.path for image in found] == list(members)
    for image in found:
        assert isinstance(image.image, Encoded)
        assert image.image.read() == members[image.path]
        assert image.image.digest == hashlib.sha256(members[image.path]).digest()
        assert image.label == image.path.split("/")[-2]
        assert image.split == image.path.removeprefix("./").split("/")[0]


def link(kind: bytes) -> tarfile.TarInfo:
    found = tarfile.TarInfo("train/cat/9999.jpg")
    found.type, found.linkname = kind, "/etc/passwd"
    return found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (BINARY.name, b"", r"it cannot be read \(its end is missing"),
        (BINARY.name, b"<html>404</html>", r"it cannot be read \(Not a gzipped file"),
        (
            BINARY.name,
            gzip.compress(bytes(10_240), mtime=0),
            "0 train images of class airplane instead of 5",
        ),
        (BINARY.name, archived(binary())[:-100], r"it cannot be read \(Compressed file ended"),
        (BINARY.name, archived(binary(data_batch_4=b"")), "4 train images of class airplane"),
        (
            BINARY.name,
            archived(binary(data_batch_4=bytes(RECORD - 1))),
            "data_batch_4.bin is not a",
        ),
        (
            BINARY.name,
            archived(binary(data_batch_1=bytes(RECORD) + b"\x0a" + bytes(RECORD - 1))),
            "data_batch_1.bin, row 2: the label 10 instead of 0 to 9",
        ),
        (BINARY.name, archived(binary(batches=b"apple\n")), "names other classes than airplane,"),
        (JPEG.name, archived(jpegs() | {"train/cat/9.jpg": b""}), "6 train images of class cat"),
        (JPEG.name, archived(jpegs() | {"train/cow/1.jpg": b""}), "train/cow/1.jpg is none of"),
        (
            JPEG.name,
            archived(jpegs() | {"../train/cat/9.jpg": b""}),
            r"\.\./train/cat/9.jpg is none",
        ),
        (JPEG.name, archived(jpegs() | {"/etc/passwd": b""}), "/etc/passwd is none of train/"),
        (JPEG.name, archived(jpegs(), it=link(tarfile.SYMTYPE)), "cat/9999.jpg is a link"),
        (JPEG.name, archived(jpegs(), it=link(tarfile.LNKTYPE)), "cat/9999.jpg is a hard link"),
        (JPEG.name, archived(jpegs(), it=link(tarfile.CHRTYPE)), "cat/9999.jpg is a device"),
    ],
)
def test_what_is_not_all_of_it_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(DataRefused, match=said) as caught:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(caught.value)
    assert "delete the file and run again" in str(caught.value)


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"cifar-10-binary.tar.gz: it cannot be read"):
        list(SOURCE.read(CIFAR, tmp_path))


@pytest.fixture
def origins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders with the binary archive, the JPEG archive, both."""
    content = archived(binary())
    known = File(BINARY.name, Bytes(len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(cifar10, "BINARY", known)
    monkeypatch.delenv("CONVOY_MIRROR", raising=False)
    folders = {name: tmp_path / name for name in ("binary", "jpegs", "both")}
    for folder in folders.values():
        folder.mkdir()
    for name in ("binary", "both"):
        (folders[name] / BINARY.name).write_bytes(content)
    for name in ("jpegs", "both"):
        (folders[name] / JPEG.name).write_bytes(archived(jpegs()))
    return folders


def test_the_archive_that_the_origin_holds_takes_the_other_ones_place(
    origins: dict[str, Path], tmp_path: Path
) -> None:
    raw, memory = tmp_path / "raw", tmp_path / "memory"

    def fetched(*names: str) -> list[str]:
        SOURCE.fetch(CIFAR, tuple(str(origins[name]) for name in names), raw, memory)
        assert not list(memory.iterdir())
        return [path.name for path in raw.iterdir()]

    assert fetched("jpegs") == [JPEG.name]
    assert fetched() == [JPEG.name], "without an origin, what lies there stays"
    assert fetched("both") == [BINARY.name]
    assert fetched() == [BINARY.name]
    assert fetched("jpegs") == [JPEG.name]
    assert fetched("jpegs", "binary") == [BINARY.name]


def test_a_folder_without_either_is_refused(tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    with pytest.raises(DataRefused, match=r"origin lacks cifar-10-binary.tar.gz: put"):
        SOURCE.fetch(CIFAR, (str(tmp_path / "origin"),), tmp_path / "raw", tmp_path / "memory")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifar10")
    SOURCE.fetch(CIFAR, (str(ORIGIN),), folder / "raw", folder / "memory")
    return folder / "raw"


def opened(found: Iterator[object]) -> Iterator[tuple[LabelledImage, bytes]]:
    for image in found:
        assert isinstance(image, LabelledImage) and isinstance(image.image, Encoded)
        yield image, image.image.read()


@real
@pytest.mark.slow
def test_the_jpeg_archive_has_five_thousand_and_one_thousand_images_a_class(fetched: Path) -> None:
    counts = Counter[tuple[str | None, str]]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for image, content in opened(SOURCE.read(CIFAR, fetched)):
        assert content.startswith(b"\xff\xd8")
        counts[image.split, image.label] += 1
    assert counts == Counter(
        {(split, label): count
         for split, count in (("train", 5_000), ("test", 1_000))
         for label in CLASSES}
    )  # fmt: skip
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"


@real
@pytest.mark.slow
def test_every_tenth_of_the_real_archive_cut_off_is_refused(fetched: Path, tmp_path: Path) -> None:
    content = (fetched / JPEG.name).read_bytes()
    for tenth in (1, 5, 9):
        (tmp_path / JPEG.name).write_bytes(content[: tenth * len(content) // 10])
        with pytest.raises(DataRefused, match=r"it cannot be read \(Compressed file ended"):
            list(SOURCE.read(CIFAR, tmp_path))
