"""Where the files of a published dataset come from: `from`, CONVOY_MIRROR, official mirrors."""

import gzip
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from convoy.downloads import Patience
from convoy.errors import ConvoyError, DataRefused
from convoy.mirrors import fetch
from convoy.published import Bytes, File
from tests import loopback
from tests.loopback import Server

QUICK = Patience(attempts=2, pause=0.01, connect=2, stall=0.3)


def known(content: bytes) -> Bytes:
    return Bytes(len(content), hashlib.sha256(content).hexdigest())


PAGE = random.Random(0).randbytes(5_000)
PACKED = gzip.compress(PAGE, 9, mtime=0)
PACKED_ANEW = gzip.compress(PAGE, 0, mtime=1)
PLAIN = File("plain.bin", known(PAGE))
ZIPPED = File("zipped.gz", known(PACKED), known(PAGE))
FILES = PLAIN, ZIPPED
WHOLE = {"plain.bin": PAGE, "zipped.gz": PACKED}


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVOY_MIRROR", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds both files."""
    folder = tmp_path / "origin"
    folder.mkdir()
    for name, content in WHOLE.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def bring(raw: Path, *origins: Path | str, mirrors: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Fetch and return what lies in `raw`; nothing unfinished may be left."""
    memory = raw.parent / "memory"
    fetch(FILES, mirrors, "things", tuple(map(str, origins)), raw, memory, QUICK)
    assert not [p for p in memory.glob("*") if p.suffix != ".lock"]
    return {path.name: path.read_bytes() for path in raw.iterdir()}


def refused(raw: Path, *origins: Path | str) -> str:
    with pytest.raises(DataRefused) as caught:
        bring(raw, *origins)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said


def test_a_folder_is_copied_never_linked(folder: Path, raw: Path) -> None:
    assert bring(raw, folder) == WHOLE
    for name in WHOLE:
        copied = (raw / name).lstat()
        assert copied.st_ino != (folder / name).stat().st_ino and copied.st_nlink == 1


def test_an_origin_wins_over_the_mirror_and_the_mirror_over_the_official_ones(
    folder: Path, raw: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = (f"{server.address}/official",)
    monkeypatch.setenv("CONVOY_MIRROR", f"{server.address}/mirror")
    assert bring(raw, folder, mirrors=official) == WHOLE
    assert not server.asked
    for name, content in WHOLE.items():
        server.serve(f"/mirror/{name}", content)
        (raw / name).unlink()
    assert bring(raw, mirrors=official) == WHOLE
    paths = [asked.path for asked in server.asked]
    assert paths == [
        "/mirror/things/plain.bin",
        "/mirror/plain.bin",
        "/mirror/things/zipped.gz",
        "/mirror/zipped.gz",
    ]
    monkeypatch.delenv("CONVOY_MIRROR")
    for name, content in WHOLE.items():
        server.serve(f"/official/{name}", content)
        (raw / name).unlink()
    assert bring(raw, mirrors=official) == WHOLE


@pytest.mark.parametrize("below", ["", "things"])
def test_a_mirror_may_be_a_folder_of_datasets_or_of_files(
    folder: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / below).parent.mkdir(exist_ok=True)
    folder.rename(mirror / below)
    monkeypatch.setenv("CONVOY_MIRROR", str(mirror))
    assert bring(raw) == WHOLE


def test_a_mirror_that_lacks_a_file_is_named(
    folder: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOY_MIRROR", str(folder))
    (folder / "plain.bin").unlink()
    assert f"{folder} lacks plain.bin: put what is missing there" in refused(raw)
    monkeypatch.setenv("CONVOY_MIRROR", f"{folder}/gone")
    assert f"{folder}/gone does not exist" in refused(raw)


def test_an_address_of_a_folder_or_of_the_file_itself_is_an_origin(
    folder: Path, raw: Path, server: Server
) -> None:
    plain = server.serve("/a/plain.bin", PAGE)
    server.serve("/b/zipped.gz", PACKED)
    assert bring(raw, plain, f"{server.address}/b/") == WHOLE


def test_what_lies_there_whole_is_not_brought_again(folder: Path, raw: Path) -> None:
    bring(raw, folder)
    before = {path.name: path.stat().st_ino for path in raw.iterdir()}
    for name in WHOLE:
        (folder / name).unlink()
    bring(raw, folder)
    assert {path.name: path.stat().st_ino for path in raw.iterdir()} == before


def test_a_damaged_file_is_brought_again(folder: Path, raw: Path) -> None:
    bring(raw, folder)
    (raw / "plain.bin").write_bytes(PAGE[:-1] + b"\0")
    (raw / "zipped.gz").write_bytes(PACKED[:-1])
    assert bring(raw, folder) == WHOLE


def test_a_damaged_file_stays_until_a_whole_one_is_there(folder: Path, raw: Path) -> None:
    bring(raw, folder)
    for where in (folder, raw):
        (where / "plain.bin").write_bytes(bytes(5_000))
    refused(raw, folder)
    assert (raw / "plain.bin").read_bytes() == bytes(5_000)


@pytest.mark.parametrize("by", ["folder", "address"])
def test_a_copy_that_was_compressed_anew_is_as_good(
    folder: Path, raw: Path, server: Server, by: str
) -> None:
    (folder / "zipped.gz").write_bytes(PACKED_ANEW)
    if by == "folder":
        found = bring(raw, folder)
    else:
        for file in folder.iterdir():
            server.serve(f"/{file.name}", file.read_bytes())
        found = bring(raw, server.address)
    assert found == {"plain.bin": PAGE, "zipped.gz": PACKED_ANEW}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PAGE[:-1], "has 4,999 bytes instead of 5,000"),
        (bytes(5_000), "has the sha256 [0-9a-f]{16}... instead of [0-9a-f]{16}..."),
        (b"", "has 0 bytes instead of 5,000"),
    ],
)
def test_another_file_of_that_name_is_refused(
    folder: Path, raw: Path, content: bytes, said: str
) -> None:
    (folder / "plain.bin").write_bytes(content)
    with pytest.raises(DataRefused, match=rf"{folder}/plain.bin {said}: replace it by the"):
        bring(raw, folder)
    assert (folder / "plain.bin").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(5_000), mtime=0),
        gzip.compress(PAGE + b"\0", 0, mtime=0)[:5_000],
        gzip.compress(bytes(100_000_000), mtime=0),
        b"not gzip",
    ],
)
def test_other_contents_compressed_are_refused(folder: Path, raw: Path, content: bytes) -> None:
    (folder / "zipped.gz").write_bytes(content)
    assert f"{folder}/zipped.gz has " in refused(raw, folder)


def test_places_that_are_none_are_refused(folder: Path, raw: Path) -> None:
    assert "/nowhere does not exist: correct the path" in refused(raw, "/nowhere")
    assert refused(raw, "s3://bucket/folder").startswith("s3://bucket/folder is neither a folder")
    (folder / "zipped.gz").unlink()
    (folder / "zipped.gz").mkdir()
    assert f"{folder} lacks zipped.gz" in refused(raw, folder)


def test_a_full_disk_is_said_and_leaves_nothing_half_done(folder: Path, raw: Path) -> None:
    memory = raw.parent / "memory"
    memory.mkdir()
    (memory / "plain.bin.copy").symlink_to("/dev/full")
    with pytest.raises(ConvoyError, match=r"plain.bin cannot be copied to .*\(No space left"):
        bring(raw, folder)
    assert not list(raw.iterdir())


def test_a_file_that_changes_while_it_is_copied_is_refused(
    folder: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    def growing(source: object, target: object, length: int = 0) -> None:
        with (folder / "plain.bin").open("ab") as stream:
            stream.write(b"\0")

    monkeypatch.setattr(shutil, "copyfileobj", growing)
    assert "plain.bin changed while it was copied: run again" in refused(raw, folder)
