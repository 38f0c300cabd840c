"""IDX files: exactly what their headers promise, or refused, and never more memory than a block."""

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy import idx
from convoy.errors import DataRefused
from tests import idx_files

PICTURES = idx_files.pictures(20)
IMAGES = idx_files.idx(PICTURES)
LABELS = idx_files.idx(np.arange(20, dtype=np.uint8))
ZIPPED = gzip.compress(IMAGES, mtime=0)


def header(*dimensions: int, magic: bytes | None = None) -> bytes:
    magic = magic or bytes((0, 0, 8, len(dimensions)))
    return magic + struct.pack(f">{len(dimensions)}I", *dimensions)


def read(folder: Path, images: bytes, labels: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (N, H, W, 1) and labels (N,); the files must stay as they are."""
    files = folder / "images", folder / "labels"
    before = [hashlib.sha256(content).digest() for content in (images, labels)]
    for file, content in zip(files, (images, labels), strict=True):
        file.write_bytes(content)
    try:
        blocks = list(idx.read(*files))
    finally:
        assert [hashlib.sha256(file.read_bytes()).digest() for file in files] == before
    return np.concatenate([b for b, _ in blocks]), np.concatenate([b for _, b in blocks])


@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_come_in_the_files_order(tmp_path: Path, zipped: bool) -> None:
    images, labels = read(tmp_path, ZIPPED if zipped else IMAGES, LABELS)
    assert (images == PICTURES[..., np.newaxis]).all()
    assert labels.tolist() == list(range(20))
    assert images.flags.writeable, "torch warns of arrays that are not"


def test_images_come_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").write_bytes(IMAGES)
    (tmp_path / "labels").write_bytes(LABELS)
    monkeypatch.setattr(idx, "BLOCK", 8)
    sizes = [len(block) for block, _ in idx.read(tmp_path / "images", tmp_path / "labels")]
    assert sizes == [8, 8, 4]
    monkeypatch.setattr(idx, "BLOCK_BYTES", 50)
    sizes = [len(block) for block, _ in idx.read(tmp_path / "images", tmp_path / "labels")]
    assert sizes == 10 * [2]


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (b"", LABELS, "images begins with nothing instead of 00000803"),
        (b"\0\0", LABELS, "images begins with 0000 instead of 00000803"),
        (b"<!DOCTYPE html>", LABELS, "images begins with 3c21444f instead of 00000803"),
        (b"\1" + IMAGES[1:], LABELS, "images begins with 01000803 instead of 00000803"),
        (LABELS, LABELS, "images begins with 00000801 instead of 00000803"),
        (IMAGES, IMAGES, "labels begins with 00000803 instead of 00000801"),
        (
            header(20, 5, 4, magic=b"\0\0\x0d\3") + IMAGES[16:] * 4,
            LABELS,
            r"images begins with 00000d03 instead of 00000803 \(unsigned bytes in 3 dimensions\)",
        ),
        (IMAGES[:9], LABELS, "images ends within its header"),
        (IMAGES[:-1], LABELS, "images ends after 399 of 400 values"),
        (header(20, 5, 4), LABELS, "images ends after 0 of 400 values"),
        (IMAGES + b"\0", LABELS, "images goes on after the 400 values that it promises"),
        (IMAGES, LABELS + b"\0", "labels goes on after the 20 values that it promises"),
        (IMAGES, LABELS[:-1], "labels ends after 19 of 20 values"),
        (IMAGES, idx_files.idx(np.zeros(19, np.uint8)), "images holds 20 images, but .* 19 labels"),
        (header(0, 5, 4), header(0), "images promises 0 images of 5 x 4 pixels"),
        (header(20, 0, 4), LABELS, "images promises 20 images of 0 x 4 pixels"),
        (header(20, 2**16, 2**16), LABELS, "promises 20 images of 65,536 x 65,536 pixels"),
        (
            header(2**32 - 1, 5, 4) + IMAGES[16:],
            header(2**32 - 1) + LABELS[8:],
            "images ends after 400 of 85,899,345,900 values",
        ),
        (ZIPPED[:60], LABELS, r"images is damaged \(Compressed file ended"),
        (ZIPPED[:-6], LABELS, r"images is damaged \(Compressed file ended"),
        (ZIPPED[:-5] + b"\1" + ZIPPED[-4:], LABELS, r"images is damaged \(CRC check failed"),
        (ZIPPED[:40] + b"\xff" * 40 + ZIPPED[80:], LABELS, "images is damaged"),
        (ZIPPED + b"rubbish", LABELS, r"images is damaged \(Not a gzipped file"),
        (ZIPPED + ZIPPED, LABELS, "images goes on after the 400 values that it promises"),
        (b"\x1f\x8b", LABELS, "images is damaged"),
    ],
)
def test_what_is_not_a_whole_pair_is_refused(
    tmp_path: Path, images: bytes, labels: bytes, said: str
) -> None:
    with pytest.raises(DataRefused, match=said) as caught:
        read(tmp_path, images, labels)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"cannot read .*images \(No such file"):
        list(idx.read(tmp_path / "images", tmp_path / "labels"))


@pytest.mark.parametrize("count", [10, 2**32 - 1])
def test_a_bomb_is_cut_off_before_it_fills_the_memory(
    tmp_path: Path, repository: Path, count: int
) -> None:
    """400 MB that are not promised, and 4 billion images that are: in an address space of 1 GB."""
    with gzip.open(tmp_path / "images", "wb") as stream:
        stream.write(header(count, 28, 28))
        for _ in range(400):
            stream.write(bytes(2**20))
    with gzip.open(tmp_path / "labels", "wb") as stream:
        stream.write(header(count) + bytes(10))
    program = (
        "import resource, sys; from pathlib import Path; from convoy import idx; "
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
        "files = [Path(name) for name in sys.argv[1:]]; "
        "sum(len(images) for images, _ in idx.read(*files))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "images", tmp_path / "labels"],
        env={"PYTHONPATH": str(repository / "src"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    refused = done.stderr.splitlines()[-1]
    assert refused.startswith("convoy.errors.DataRefused: "), done.stderr
    assert "labels ends after" in refused or "images goes on after the 7,840 values" in refused
