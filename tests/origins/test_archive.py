import io
import os
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins import archive, expansion, tar
from convoy.origins.member import Damaged
from tests.origins.archives import KINDS, MODES, add, pack
from tests.origins.held import Held, tree

PHOTOS = {
    "cat/1.jpg": b"one",
    "cat/2.jpg": b"two" * 1000,
    "dog/3 é.jpg": b"three",
    "dog/4.jpg": b"",
}


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_with_their_bytes_and_their_folder_as_label(
    tmp_path: Path, held: Held, kind: str
) -> None:
    # Recognised by content: the name says nothing.
    held.fetch(pack(tmp_path / "photos.bin", PHOTOS, kind))

    found = {path: (content, label) for path, (content, label, _) in held.images().items()}
    assert found == {path: (content, path[:3]) for path, content in PHOTOS.items()}
    assert held.findings() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../out.jpg", "cat/../../out.jpg", "/etc/out.jpg"])
def test_an_archive_whose_members_lead_out_is_refused_as_a_whole(
    tmp_path: Path, held: Held, kind: str, name: str
) -> None:
    path = pack(tmp_path / "photos.bin", {**PHOTOS, name: b"attack"}, kind)
    before = tree(tmp_path)

    with pytest.raises(DataRefused, match=rf"photos.bin: its member '{name}' leads out"):
        held.fetch(path)

    # What was read before lies in no list, and nothing lies anywhere else.
    after = tree(tmp_path)
    assert {path for path in after.keys() - before.keys() if "held/raw/packs" not in path} == set()
    assert not (held.raw / "index.json").exists()


@pytest.mark.parametrize("name", ["..\\out.jpg", "C:\\out.jpg", "\\\\server\\out.jpg"])
def test_names_of_windows_that_lead_out_are_refused(tmp_path: Path, held: Held, name: str) -> None:
    with pytest.raises(DataRefused, match="leads out of the archive"):
        held.fetch(pack(tmp_path / "photos.zip", {name: b"attack"}, "zip"))


def test_backslashes_in_a_zip_are_folders(tmp_path: Path, held: Held) -> None:
    held.fetch(pack(tmp_path / "photos.zip", {"cat\\1.jpg": b"one"}, "zip"))

    assert held.labels() == {"cat/1.jpg": "cat"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../../../x"])
@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_of_a_tar_that_lead_out_are_refused(
    tmp_path: Path, held: Held, target: str, type_: bytes
) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as opened:
        add(opened, "cat/1.jpg", b"one")
        add(opened, "cat/2.jpg", type=type_, linkname=target)

    with pytest.raises(DataRefused, match=r"'cat/2.jpg' leads out of the archive"):
        held.fetch(tmp_path / "photos.tar")


def test_links_inside_a_tar_have_the_bytes_of_their_target(tmp_path: Path, held: Held) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as opened:
        add(opened, "cat/early.jpg", type=tarfile.SYMTYPE, linkname="../dog/1.jpg")
        add(opened, "dog/1.jpg", b"one")
        add(opened, "dog/hard.jpg", type=tarfile.LNKTYPE, linkname="dog/1.jpg")
        add(opened, "dog/twice.jpg", type=tarfile.SYMTYPE, linkname="hard.jpg")
        add(opened, "dog/nothing.jpg", type=tarfile.SYMTYPE, linkname="gone.jpg")
        add(opened, "dog/a.jpg", type=tarfile.SYMTYPE, linkname="b.jpg")
        add(opened, "dog/b.jpg", type=tarfile.SYMTYPE, linkname="a.jpg")

    held.fetch(tmp_path / "photos.tar")

    paths = ["cat/early.jpg", "dog/1.jpg", "dog/hard.jpg", "dog/twice.jpg"]
    assert {path: content for path, (content, _, _) in held.images().items()} == dict.fromkeys(
        paths, b"one"
    )
    assert held.findings() == [
        ("quarantined", "link-broken", f"dog/{name}.jpg") for name in ("nothing", "a", "b")
    ]


def test_a_link_in_a_zip_is_followed_inside_only(tmp_path: Path, held: Held) -> None:
    def link(name: str, target: str) -> Path:
        path = pack(tmp_path / "photos.zip", {"dog/1.jpg": b"one"}, "zip")
        with zipfile.ZipFile(path, "a") as opened:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16
            opened.writestr(entry, target)
        return path

    assert held.fetch(link("cat/2.jpg", "../dog/1.jpg")).labels()["cat/2.jpg"] == "cat"
    with pytest.raises(DataRefused, match="leads out"):
        held.fetch(link("cat/2.jpg", "/etc/passwd"))


@pytest.mark.parametrize("type_", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_in_a_tar_are_refused(tmp_path: Path, held: Held, type_: bytes) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as opened:
        add(opened, "cat/1.jpg", type=type_)

    with pytest.raises(DataRefused, match=r"'cat/1.jpg' is a device or a pipe"):
        held.fetch(tmp_path / "photos.tar")


def test_files_with_holes_are_quarantined_and_what_follows_is_read(
    tmp_path: Path, held: Held
) -> None:
    (tmp_path / "cat").mkdir()
    with (tmp_path / "cat/1.jpg").open("wb") as stream:
        for number in range(40):  # More holes than one header takes.
            stream.seek(number * 100_000)
            stream.write(b"x" * 5000)
    (tmp_path / "cat/2.jpg").write_bytes(b"two")
    for style in ("gnu", "posix"):
        path = tmp_path / f"{style}.tar"
        line = f"cd '{tmp_path}' && tar --sparse --format={style} -cf '{path}' cat/1.jpg cat/2.jpg"
        assert os.system(line) == 0

        assert list(held.fetch(path).images()) == ["cat/2.jpg"]
        assert [rule for _, rule, _ in held.findings()] == ["not-a-file"]


@pytest.mark.parametrize("style", ["gnu", "posix", "ustar", "v7"])
def test_tars_of_all_styles_are_read(tmp_path: Path, held: Held, style: str) -> None:
    long = "folder" * 14 if style in ("ustar", "v7") else "folder" * 40
    (tmp_path / "photos" / long).mkdir(parents=True)
    (tmp_path / "photos" / long / "é.jpg").write_bytes(b"one")
    path = tmp_path / "photos.tar"
    assert os.system(f"cd '{tmp_path}/photos' && tar --format={style} -cf '{path}' .") == 0

    assert held.fetch(path).labels() == {f"{long}/é.jpg": long}


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_and_bad_names_are_findings(tmp_path: Path, held: Held, kind: str) -> None:
    members = {"cat/1.jpg": b"1", "__MACOSX/cat/._1.jpg": b"2", ".DS_Store": b"3"}
    members |= {"cat/a\nb.jpg": b"4", ".git/a": b"5", ".git/b": b"6", "README.md": b"7"}

    held.fetch(pack(tmp_path / "photos", members, kind))

    assert list(held.images()) == ["cat/1.jpg"]
    assert sorted(held.findings()) == [
        ("ignored", "hidden", ".DS_Store"),
        ("ignored", "hidden", ".git"),
        ("ignored", "hidden", "__MACOSX"),
        ("ignored", "not-an-image", "README.md"),
        ("quarantined", "bad-name", r"cat/a\x0ab.jpg"),
    ]


def test_a_name_that_ends_early_in_a_zip_is_found(tmp_path: Path, held: Held) -> None:
    path = pack(tmp_path / "photos.zip", {"cat/1.jpgX.exe": b"1", "cat/2.jpg": b"2"}, "zip")
    path.write_bytes(path.read_bytes().replace(b"jpgX", b"jpg\0"))

    assert held.fetch(path).findings() == [("quarantined", "bad-name", r"cat/1.jpg\x00.exe")]


def test_names_of_old_zips_are_read(tmp_path: Path, held: Held) -> None:
    path = pack(tmp_path / "photos.zip", {"k?se/1.jpg": b"1"}, "zip")
    path.write_bytes(path.read_bytes().replace(b"k?se", b"k\x84se"))

    assert held.fetch(path).labels() == {"käse/1.jpg": "käse"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
def test_the_second_member_of_a_name_is_quarantined(tmp_path: Path, held: Held, kind: str) -> None:
    path = tmp_path / "photos"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as opened:
            opened.writestr("cat/1.jpg", b"first")
            opened.writestr("cat/1.jpg", b"second")
    else:
        with tarfile.open(path, MODES[kind]) as packed:  # type: ignore[call-overload]
            add(packed, "cat/1.jpg", b"first")
            add(packed, "./cat//1.jpg", b"second")

    assert held.fetch(path).images() == {"cat/1.jpg": (b"first", "cat", None)}
    assert held.findings() == [("quarantined", "same-name", "cat/1.jpg")]


def test_an_empty_folder_of_an_archive_is_a_warning(tmp_path: Path, held: Held) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as opened:
        add(opened, "cat/1.jpg", b"one")
        for name in ("cat", "dog", "dog/small"):
            add(opened, name, type=tarfile.DIRTYPE)

    assert held.fetch(tmp_path / "photos.tar").findings() == [("warning", "empty-class", "dog")]


def test_an_archive_in_an_archive_is_a_file_like_any_other(tmp_path: Path, held: Held) -> None:
    inner = pack(tmp_path / "inner.zip", PHOTOS, "zip").read_bytes()

    held.fetch(pack(tmp_path / "outer.zip", {"cat/inner.zip": inner}, "zip"))

    assert held.images() == {"cat/inner.zip": (inner, "cat", None)}


def test_an_encrypted_zip_is_refused_with_the_mend(tmp_path: Path, held: Held) -> None:
    path = pack(tmp_path / "photos.zip", {"cat/1.jpg": b"one"}, "zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(DataRefused, match=r"is encrypted \('cat/1.jpg'\): unpack it and pack it"):
        held.fetch(path)


def test_a_zip_member_with_a_wrong_sum_is_named(tmp_path: Path, held: Held) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("cat/1.jpg", b"intact")
        opened.writestr("cat/2.jpg", b"the bytes")
    path.write_bytes(path.read_bytes().replace(b"the bytes", b"tHe bytes"))

    with pytest.raises(DataRefused, match=r"'cat/2.jpg': Bad CRC-32"):
        held.fetch(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_archive_is_refused(
    tmp_path: Path, held: Held, kind: str, share: float
) -> None:
    members = {f"cat/{number}.jpg": os.urandom(3000) for number in range(30)}
    path = pack(tmp_path / "photos", members, kind)
    os.truncate(path, int(path.stat().st_size * share))

    with pytest.raises(DataRefused, match=r"photos is (damaged|no folder)"):
        held.fetch(path)


def test_a_damaged_sum_at_the_end_of_a_gzip_is_found(tmp_path: Path, held: Held) -> None:
    path = pack(tmp_path / "photos.tar.gz", PHOTOS, "tar.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataRefused, match=r"photos.tar.gz is damaged .*CRC check failed"):
        held.fetch(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_is_refused_by_the_bytes_that_come_out(
    tmp_path: Path, held: Held, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "HARMLESS", 1_000_000)
    path = pack(tmp_path / "bomb", {f"cat/{n}.jpg": bytes(500_000) for n in range(9)}, kind)

    with pytest.raises(DataRefused, match=r"bomb expands to more than 1,0.*, 200 times its"):
        held.fetch(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_of_one_huge_member_is_not_expanded_in_memory(
    tmp_path: Path, held: Held, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("archive", "tar", "zipped", "origin"):
        monkeypatch.setattr(f"convoy.origins.{module}.LARGEST", 1_000_000, raising=False)
    members = {"cat/1.jpg": b"one", "cat/huge.jpg": bytes(5_000_000)}

    held.fetch(pack(tmp_path / "bomb", members, kind))

    assert list(held.images()) == ["cat/1.jpg"]
    assert held.findings() == [("quarantined", "too-large-file", "cat/huge.jpg")]


def test_zip_entries_that_share_their_bytes_are_bounded_too(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "HARMLESS", 1_000_000)
    path = pack(tmp_path / "bomb.zip", {"cat/1.jpg": bytes(100_000)}, "zip")
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"cat/1.jpg", b"cat/%c.jpg" % n) for n in range(65, 91))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 26, 26, len(entries), start, 0)
    path.write_bytes(content[:start] + entries + tail)

    with pytest.raises(DataRefused, match=r"bomb.zip (expands to more than|is damaged)"):
        held.fetch(path)


def test_an_archive_of_too_many_members_is_refused(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "MEMBERS", 100)
    members = {f"cat/{number}": b"" for number in range(101)}

    with pytest.raises(DataRefused, match="has more than 100 members"):
        held.fetch(pack(tmp_path / "many.zip", members, "zip"))


def test_an_archive_may_half_fill_the_disk(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convoy.packs.Packs.free", lambda self: 5000)

    with pytest.raises(DataRefused, match=r"more than 2,500 bytes, half of what is free"):
        held.fetch(pack(tmp_path / "photos.tar", PHOTOS, "tar"))


def test_a_header_that_claims_gigabytes_is_not_believed() -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 2**32

    with pytest.raises(Damaged, match="a header of 4,294,967,296 bytes"):
        list(tar.members(io.BytesIO(member.tobuf(tarfile.GNU_FORMAT))))


def test_headers_made_to_take_for_ever_do_not() -> None:
    def header(kind: bytes, body: bytes) -> bytes:
        member = tarfile.TarInfo("x")
        member.type, member.size = kind, len(body)
        return member.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)

    tiny = header(tarfile.XHDTYPE, b"5 a=\n" * 200_000) + bytes(1024)
    huge = header(tarfile.XHDTYPE, b"9" * 10_000 + b" a=\n") + bytes(1024)
    start = time.monotonic()

    assert list(tar.members(io.BytesIO(tiny))) == []
    with pytest.raises(Damaged):
        list(tar.members(io.BytesIO(huge)))
    assert time.monotonic() - start < 2


def test_thousands_of_links_are_resolved_in_no_time(tmp_path: Path, held: Held) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as opened:
        add(opened, "cat/0.jpg", b"one")
        for number in range(1, 20_000):
            add(opened, f"cat/{number}.jpg", type=tarfile.SYMTYPE, linkname=f"{number - 1}.jpg")
    start = time.monotonic()

    held.fetch(tmp_path / "photos.tar")

    assert time.monotonic() - start < 10
    assert len(held.images()) == 42


@pytest.mark.parametrize(("magic", "name"), [(b"7z\xbc\xaf'\x1c", "7z"), (b"Rar!\x1a\x07", "RAR")])
def test_archives_of_other_kinds_are_named(
    tmp_path: Path, held: Held, magic: bytes, name: str
) -> None:
    (tmp_path / "photos").write_bytes(magic + bytes(1000))

    with pytest.raises(DataRefused, match=rf"photos is a {name} archive: unpack it"):
        held.fetch(tmp_path / "photos")


@pytest.mark.parametrize(
    ("name", "content"),
    [("cat.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"), ("train.sh", b"#!/bin/bash\npython train.py\n")],
)
def test_a_file_of_another_kind_as_origin_is_refused(
    tmp_path: Path, held: Held, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataRefused, match=rf"{name} is no folder, .* the folder that it lies in"):
        held.fetch(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_without_members_is_refused(tmp_path: Path, held: Held, kind: str) -> None:
    with pytest.raises(DataRefused, match="holds no file that can be used"):
        held.fetch(pack(tmp_path / "photos", {}, kind))


def test_an_archive_that_has_not_changed_is_not_opened(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "photos.zip", {**PHOTOS, ".DS_Store": b""}, "zip")
    os.utime(path, (10**9, 10**9))
    first = held.fetch(path).images(), tree(held.raw), list(map(str, _findings(held)))
    monkeypatch.setattr(archive, "scan", None)

    held.fetch(path)

    assert (held.images(), tree(held.raw), list(map(str, _findings(held)))) == first


def _findings(held: Held) -> list[Finding]:
    return [one for one in held.read() if isinstance(one, Finding)]
