import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convoy.errors import ConvoyError, DataRefused
from convoy.origins.remote import Service
from convoy.sources.files import SOURCE
from tests import s3
from tests.origins.archives import pack
from tests.origins.held import Held, write

pytestmark = pytest.mark.slow

PHOTOS = {"cat/1.jpg": b"one", "cat/2 #%.jpg": b"two", "dog/é.jpg": b"three"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A client of an S3 with the bucket `photos`."""
    with pytest.MonkeyPatch.context() as patch, s3.serving(patch) as client:
        client.create_bucket(Bucket="photos")
        yield client


def test_a_folder_of_s3_is_read(held: Held, bucket: Any) -> None:
    for path, content in PHOTOS.items():
        bucket.put_object(Bucket="photos", Key=f"folder/{path}", Body=content)
    for path in (".DS_Store", ".git/a", ".git/b", "empty/", "2.jpg"):
        bucket.put_object(Bucket="photos", Key=f"folder/{path}", Body=b"")
    bucket.put_object(Bucket="photos", Key="folder2/cat/3.jpg", Body=b"another folder's")

    held.fetch("s3://photos/folder/")

    assert held.contents() == PHOTOS
    assert held.findings() == [
        ("ignored", "hidden", ".DS_Store"),
        ("ignored", "hidden", ".git"),
        ("quarantined", "no-class", "2.jpg"),
    ]


def test_what_has_not_changed_in_s3_is_not_read_again(
    held: Held, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        bucket.put_object(Bucket="photos", Key=f"big/cat/{number:02}.jpg", Body=b"%d" % number)
    held.fetch("s3://photos/big")
    mark = SOURCE.fingerprint(("s3://photos/big",))
    read: list[str] = []

    def noted(service: Service, address: str) -> bytes:
        read.append(address)
        return b"new"

    monkeypatch.setattr(Service, "read", noted)

    held.fetch("s3://photos/big")
    assert read == []
    assert SOURCE.fingerprint(("s3://photos/big",)) == mark
    bucket.put_object(Bucket="photos", Key="big/cat/07.jpg", Body=b"new")
    held.fetch("s3://photos/big")

    assert read == ["s3://photos/big/cat/07.jpg"]
    assert SOURCE.fingerprint(("s3://photos/big",)) != mark
    assert held.images()["cat/07.jpg"][0] == b"new"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_of_s3_is_read(held: Held, bucket: Any, tmp_path: Path, kind: str) -> None:
    path = pack(tmp_path / "photos", PHOTOS, kind)
    bucket.put_object(Bucket="photos", Key=f"photos.{kind}", Body=path.read_bytes())

    assert held.fetch(f"s3://photos/photos.{kind}").contents() == PHOTOS


def test_a_table_of_s3_names_objects_beside_it(held: Held, bucket: Any) -> None:
    for path, content in PHOTOS.items():
        bucket.put_object(Bucket="photos", Key=f"table/{path}", Body=content)
    rows = "".join(f"{path},a\n" for path in [*PHOTOS, "gone.jpg", "s3://photos/table/cat/1.jpg"])
    bucket.put_object(Bucket="photos", Key="table/labels.csv", Body=f"path,label\n{rows}".encode())

    held.fetch("s3://photos/table/labels.csv")

    assert held.contents() == {**PHOTOS, "s3://photos/table/cat/1.jpg": b"one"}
    assert held.findings() == [("quarantined", "missing-file", "gone.jpg")]


@pytest.mark.parametrize("address", ["s3://photos/nowhere", "s3://nobucket", "s3://nobucket/x"])
def test_what_is_not_in_s3_is_refused(held: Held, bucket: Any, address: str) -> None:
    with pytest.raises(DataRefused, match=f"there is no {address}"):
        held.fetch(address)


def test_an_s3_that_is_not_there_is_an_error_of_a_service(
    held: Held, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(ConvoyError, match="cannot reach s3://photos/folder") as error:
        held.fetch("s3://photos/folder")

    assert error.value.exit_code == 1


def test_the_same_bytes_here_and_in_s3_are_held_once(
    held: Held, bucket: Any, tmp_path: Path
) -> None:
    content = hashlib.sha256(b"an image").digest() * 1000
    (write(tmp_path / "photos", "cat/1.jpg") / "cat/1.jpg").write_bytes(content)
    bucket.put_object(Bucket="photos", Key="same/cat/1.jpg", Body=content)

    held.fetch(tmp_path / "photos", "s3://photos/same")

    assert held.contents() == dict.fromkeys(("cat/1.jpg", "same/cat/1.jpg"), content)
    assert sum(path.read_bytes().count(content) for path in held.raw.rglob("*.tar")) == 1
