import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from convoy.errors import ConvoyError, DataRefused
from convoy.sources.files import SOURCE
from tests import s3
from tests.origins.archives import KINDS, pack
from tests.origins.held import Held, tree, write

PHOTOS = {"cat/1.jpg": b"one", "cat/2 #%.jpg": b"two", "dog/é.jpg": b"three"}


class Site:
    """A folder that a web server of this machine gives out, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        handler = partial(_Handler, self.asked, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *args: Any, **settings: Any) -> None:
        self.asked = asked
        super().__init__(*args, **settings)

    def log_message(self, *args: Any) -> None:
        self.asked.append(f"{self.command} {self.path}")

    def send_head(self) -> Any:
        if "forbidden" in self.path:
            return self.send_error(403)
        if "broken" in self.path:
            return self.send_error(500)
        return super().send_head()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    thread = threading.Thread(target=site.server.serve_forever, args=(0.02,))
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_a_web_server_is_read(held: Held, site: Site, kind: str) -> None:
    pack(site.folder / "photos", PHOTOS, kind)

    held.fetch(f"{site.address}/photos")

    assert held.contents() == PHOTOS
    assert [path.suffix for path in held.memory.iterdir()] == [".json"]


def test_an_archive_that_has_not_changed_is_not_downloaded_again(held: Held, site: Site) -> None:
    pack(site.folder / "photos.zip", PHOTOS, "zip")
    origin = f"{site.address}/photos.zip"
    first = tree(held.fetch(origin).raw)
    mark = SOURCE.fingerprint((origin,))
    gets = site.asked.count("GET /photos.zip")

    assert tree(held.fetch(origin).raw) == first
    assert SOURCE.fingerprint((origin,)) == mark
    downloads = site.asked.count("GET /photos.zip") - gets
    pack(site.folder / "photos.zip", {"cat/3.jpg": b"new"}, "zip")
    assert SOURCE.fingerprint((origin,)) != mark
    assert held.fetch(origin).contents() == {"cat/3.jpg": b"new"}
    # Its kind is told by its first bytes each time.
    assert downloads == 2


def test_a_table_of_a_web_server_names_files_beside_it_and_elsewhere(
    held: Held, site: Site
) -> None:
    for path, content in PHOTOS.items():
        write(site.folder, path)
        (site.folder / path).write_bytes(content)
    rows = [*PHOTOS, f"{site.address}/cat/1.jpg", "gone.jpg", "forbidden.jpg"]
    rows += ["../up.jpg", "/etc/passwd", "a/../../b.jpg", "file:///etc/passwd"]
    (site.folder / "labels.csv").write_text(
        "path,label\n" + "".join(f"{path},{number}\n" for number, path in enumerate(rows))
    )

    held.fetch(f"{site.address}/labels.csv")

    assert held.contents() == {**PHOTOS, f"{site.address}/cat/1.jpg": b"one"}
    assert sorted(held.findings()) == [
        ("quarantined", "link-out", "../up.jpg"),
        ("quarantined", "link-out", "/etc/passwd"),
        ("quarantined", "link-out", "a/../../b.jpg"),
        ("quarantined", "missing-file", "gone.jpg"),
        ("quarantined", "no-permission", "forbidden.jpg"),
        ("quarantined", "unknown-address", "file:///etc/passwd"),
    ]


def test_a_table_here_may_name_files_elsewhere(held: Held, site: Site, tmp_path: Path) -> None:
    write(site.folder, "cat/1.jpg")
    write(tmp_path, "here.jpg")
    (tmp_path / "labels.csv").write_text(
        f"path,label\nhere.jpg,cat\n{site.address}/cat/1.jpg,cat\n"
    )

    held.fetch(tmp_path / "labels.csv")

    assert list(held.contents().values()) == [b"here.jpg", b"cat/1.jpg"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("gone.zip", "there is no"), ("forbidden.zip", "may not be read")],
)
def test_what_a_web_server_does_not_give_is_refused(
    held: Held, site: Site, path: str, sentence: str
) -> None:
    with pytest.raises(DataRefused, match=sentence):
        held.fetch(f"{site.address}/{path}")


def test_a_web_server_in_trouble_is_an_error_of_a_service(held: Held, site: Site) -> None:
    with pytest.raises(ConvoyError, match=r"cannot reach .*broken.zip \(500") as error:
        held.fetch(f"{site.address}/broken.zip")

    assert error.value.exit_code == 1


def test_a_web_server_that_is_not_there_leaves_what_was_there(held: Held, tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", "cat/1.jpg")
    before = tree(held.fetch(photos).raw)
    address = f"http://127.0.0.1:{s3.free_port()}/photos.zip"

    with pytest.raises(ConvoyError, match=rf"cannot reach {address}"):
        held.fetch(photos, address)

    assert tree(held.raw) == before


def test_a_download_that_breaks_off_is_an_error_and_no_archive(
    held: Held, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(site.folder / "photos.zip", PHOTOS, "zip")

    def half(handler: Any, source: Any, target: Any) -> None:
        target.write(source.read(150))

    monkeypatch.setattr(_Handler, "copyfile", half)

    with pytest.raises(ConvoyError, match=r"cannot reach .*photos.zip"):
        held.fetch(f"{site.address}/photos.zip")
    assert not any(held.memory.iterdir())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "http://example.invalid/photos.zip",
            "begins with http://, but only s3:// and https:// are read",
        ),
        ("ftp://example.invalid/photos.zip", "begins with ftp://"),
        ("gs://photos", "begins with gs://"),
        ("s3://", "names no bucket"),
        ("https://[x/photos.zip", "is no address"),
    ],
)
def test_addresses_that_are_not_read_are_refused(held: Held, address: str, sentence: str) -> None:
    with pytest.raises(DataRefused, match=sentence):
        held.fetch(address)
