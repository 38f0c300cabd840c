import os
import socket
import threading
from pathlib import Path

import pytest

from convoy.errors import DataRefused
from convoy.origins import local
from convoy.origins.folder import listing
from convoy.origins.origin import Item
from tests.origins.held import Held, tree, write


def test_files_come_with_their_bytes_and_their_folder_as_label(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg", "dog/3.jpg")

    images = held.fetch(photos).images()

    assert images == {
        "cat/1.jpg": (b"cat/1.jpg", "cat", None),
        "dog/2.jpg": (b"dog/2.jpg", "dog", None),
        "dog/3.jpg": (b"dog/3.jpg", "dog", None),
    }


def test_a_folder_is_listed_in_the_order_of_names(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", "b/1", "B/2", "ä/3", "a/10", "a/9")

    found = [item.path for item in listing(str(photos)) if isinstance(item, Item)]

    assert found == ["B/2", "a/10", "a/9", "b/1", "ä/3"]


def test_hidden_and_system_files_are_ignored_by_name(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", ".DS_Store", "cat/._1.jpg", "cat/Thumbs.db")
    write(photos, "__MACOSX/cat/._1.jpg", ".git/objects/a", ".git/objects/b", "desktop.ini")
    write(photos, "cat/.ipynb_checkpoints/1.jpg")

    held.fetch(photos)

    assert list(held.images()) == ["cat/1.jpg"]
    assert sorted(held.findings()) == [
        ("ignored", "hidden", path)
        for path in (
            *(".DS_Store", ".git", "__MACOSX", "cat/._1.jpg", "cat/.ipynb_checkpoints"),
            *("cat/Thumbs.db", "desktop.ini"),
        )
    ]
    assert any("a hidden or system folder of 2 files" in str(found) for found in held.read())


def test_a_link_out_of_the_folder_is_quarantined(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    secret = write(tmp_path / "secret", "key.jpg")
    (photos / "cat/2.jpg").symlink_to(secret / "key.jpg")
    (photos / "cat/3.jpg").symlink_to("../../secret/key.jpg")
    (photos / "dog").symlink_to(secret)

    held.fetch(photos)

    assert list(held.images()) == ["cat/1.jpg"]
    rules = [("quarantined", "link-out", path) for path in ("cat/2.jpg", "cat/3.jpg", "dog")]
    assert held.findings() == rules
    assert not any(b"key.jpg" in path.read_bytes() for path in held.raw.rglob("*.tar"))


def test_links_inside_the_folder_are_followed(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "tomcat/2.jpg")
    (photos / "cat/2.jpg").symlink_to("../tomcat/2.jpg")
    (photos / "lion").symlink_to("tomcat")

    images = held.fetch(photos).images()

    assert images["cat/2.jpg"] == (b"tomcat/2.jpg", "cat", None)
    assert images["lion/2.jpg"] == (b"tomcat/2.jpg", "lion", None)


def test_a_loop_of_links_ends(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg")
    (photos / "cat/up").symlink_to("..")
    (photos / "cat/self.jpg").symlink_to("self.jpg")
    (photos / "dog/cat").symlink_to("../cat")

    rules = {(rule, path) for _, rule, path in held.fetch(photos).findings(nested="flatten")}

    assert ("link-loop", "cat/up") in rules
    assert ("link-broken", "cat/self.jpg") in rules


def test_links_that_multiply_are_followed_once_each(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", "d30/1.jpg")
    for number in range(30):
        write(photos, f"d{number}/x.jpg")
        for side in "lr":
            (photos / f"d{number}/{side}").symlink_to(f"../d{number + 1}")

    assert len(list(listing(str(photos)))) < 2000


def test_folders_that_lie_in_one_another_without_end_are_quarantined(
    tmp_path: Path, held: Held
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    for top in ("cat", ".hidden"):
        deep = photos / top / "/".join("d" * 200)
        deep.mkdir(parents=True)

    rules = held.fetch(photos).findings()

    assert [rule for _, rule, _ in rules] == ["hidden", "too-deep"]


def test_a_broken_link_is_quarantined(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    (photos / "cat/2.jpg").symlink_to("3.jpg")

    assert held.fetch(photos).findings() == [("quarantined", "link-broken", "cat/2.jpg")]


def test_pipes_devices_and_sockets_are_not_opened(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    os.mkfifo(photos / "cat/pipe.jpg")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(photos / "cat/socket.jpg"))

        held.fetch(photos)

    assert list(held.images()) == ["cat/1.jpg"]
    rules = [("quarantined", "not-a-file", f"cat/{name}.jpg") for name in ("pipe", "socket")]
    assert held.findings() == rules


def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    (item,) = listing(str(photos))
    (photos / "cat/1.jpg").unlink()
    os.mkfifo(photos / "cat/1.jpg")

    assert isinstance(item, Item)
    with pytest.raises(local.NotAFile):
        item.read()


def test_names_that_harm_elsewhere_are_quarantined_in_printable_form(
    tmp_path: Path, held: Held
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/a\nb.jpg", "cat/\x1b[31m.jpg")
    Path(os.fsdecode(os.fsencode(photos / "cat") + b"/caf\xe9.jpg")).write_bytes(b"latin 1")
    write(Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9")), "1.jpg")

    held.fetch(photos)

    assert list(held.images()) == ["cat/1.jpg"]
    assert sorted(held.findings()) == [
        ("quarantined", "bad-name", path)
        for path in (
            r"caf\xe9/1.jpg",
            r"cat/\x1b[31m.jpg",
            r"cat/a\x0ab.jpg",
            r"cat/caf\xe9.jpg",
        )
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="the files of nobody need root to make")
def test_what_may_not_be_read_is_quarantined(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534)
    (photos / "cat/2.jpg").chmod(0)
    (photos / "dog").chmod(0)
    # pytest makes its folders for root alone.
    modes = {path: path.stat().st_mode for path in tmp_path.parents}
    for path, mode in modes.items():
        path.chmod(mode | 0o11)
    os.seteuid(65534)
    try:
        held.fetch(photos)
    finally:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)

    assert list(held.images()) == ["cat/1.jpg"]
    rules = [("quarantined", "no-permission", path) for path in ("cat/2.jpg", "dog")]
    assert held.findings() == rules


def test_a_file_that_changes_while_it_is_read_is_quarantined(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg")
    growing = photos / "cat/2.jpg"
    whole = local._whole

    def grown(descriptor: int, most: int) -> bytes:
        content = whole(descriptor, most)
        if content.startswith(b"cat/2"):
            with growing.open("ab") as stream:
                stream.write(b"more")
        return content

    monkeypatch.setattr(local, "_whole", grown)
    held.fetch(photos)

    assert list(held.images()) == ["cat/1.jpg"]
    assert held.findings() == [("quarantined", "changes-while-reading", "cat/2.jpg")]


def test_a_file_that_changes_once_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "1.jpg") / "1.jpg"
    whole, changes = local._whole, [b"new"]

    def changed(descriptor: int, most: int) -> bytes:
        content = whole(descriptor, most)
        if changes:
            path.write_bytes(changes.pop())
        return content

    monkeypatch.setattr(local, "_whole", changed)

    assert local.read(str(path))[0] == b"new"


def test_files_that_somebody_keeps_writing_to_end_the_scan_all_the_same(
    tmp_path: Path, held: Held
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/log.jpg")
    stop = threading.Event()

    def write_on() -> None:
        with (photos / "cat/log.jpg").open("ab", buffering=0) as stream:
            while not stop.is_set():
                stream.write(b"x" * 1000)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        held.fetch(photos)
    finally:
        stop.set()
        writer.join()

    assert "cat/1.jpg" in held.images()


def test_a_file_that_vanishes_is_quarantined(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg")
    read = local.read

    def vanished(path: str) -> tuple[bytes, str]:
        (photos / "cat/2.jpg").unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(local, "read", vanished)

    assert held.fetch(photos).findings() == [("quarantined", "vanished", "cat/2.jpg")]


def test_a_folder_without_a_file_is_a_warning(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    (photos / "dog").mkdir()

    assert held.fetch(photos).findings() == [("warning", "empty-class", "dog")]


def test_a_folder_of_hidden_files_alone_is_a_warning_too(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "dog/.DS_Store")

    rules = [("warning", "empty-class", "dog"), ("ignored", "hidden", "dog/.DS_Store")]
    assert held.fetch(photos).findings() == rules


def test_a_file_too_large_for_an_image_is_not_read(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "cat/film.jpg")
    os.truncate(photos / "cat/film.jpg", 2**30)

    assert held.fetch(photos).findings() == [("quarantined", "too-large-file", "cat/film.jpg")]


def test_an_empty_folder_is_refused_as_an_unmounted_disk_looks_like_it(
    tmp_path: Path, held: Held
) -> None:
    (tmp_path / "disk").mkdir()

    with pytest.raises(DataRefused, match=r"disk holds no file that can be used; .*: mount its"):
        held.fetch(tmp_path / "disk")


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path, held: Held) -> None:
    with pytest.raises(DataRefused, match=r"there is no .*nowhere: mend `from`"):
        held.fetch(tmp_path / "nowhere")


def test_a_pipe_as_origin_is_refused(tmp_path: Path, held: Held) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DataRefused, match="neither a folder nor a file"):
        held.fetch(tmp_path / "pipe")


def test_originals_are_never_touched(tmp_path: Path, held: Held) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg", ".DS_Store", "README.txt")
    before = tree(photos), [path.stat().st_mtime_ns for path in sorted(photos.rglob("*"))]

    held.fetch(photos)
    held.images()
    held.fetch(photos)

    after = tree(photos), [path.stat().st_mtime_ns for path in sorted(photos.rglob("*"))]
    assert after == before
