"""The fingerprint of a folder or a bucket: another for a change, the same for none."""

import os
from pathlib import Path

import pytest

from convoy.errors import ConvoyError
from convoy.triggers import files
from tests import s3


def test_it_changes_with_files_that_are_new_altered_or_gone(tmp_path: Path) -> None:
    watched = tmp_path / "photos"
    (watched / "cat").mkdir(parents=True)
    seen = [files.look(tmp_path, "photos")]
    (watched / "cat" / "1.png").write_bytes(b"one")
    seen.append(files.look(tmp_path, "photos"))
    (watched / "cat" / "1.png").write_bytes(b"other")
    seen.append(files.look(tmp_path, str(watched)))
    (watched / "cat" / "1.png").rename(watched / "cat" / "2.png")
    seen.append(files.look(tmp_path, "photos"))
    assert len(set(seen)) == 4
    (watched / "cat" / "2.png").unlink()
    assert files.look(tmp_path, "photos") == seen[0]


def test_it_stays_for_hidden_files_and_folders_of_none(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"one")
    before = files.look(tmp_path, str(tmp_path))
    (tmp_path / ".1.png.part").write_bytes(b"half")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x").touch()
    (tmp_path / "empty").mkdir()
    assert files.look(tmp_path, str(tmp_path)) == before


def test_the_same_time_and_size_of_another_file_is_another_fingerprint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").write_bytes(b"1")
        os.utime(tmp_path / name / f"{name}.png", (1, 1))
    assert files.look(tmp_path, "a") != files.look(tmp_path, "b")


@pytest.mark.parametrize("address", ["nowhere", "magnet://photos", "s3://"])
def test_what_cannot_be_listed_is_an_error_and_no_change(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConvoyError, match="cannot be listed"):
        files.look(tmp_path, address)


@pytest.mark.slow
def test_a_bucket_is_watched_as_a_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3.serving(monkeypatch) as client:
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="new/1.png", Body=b"one")
        seen = files.look(tmp_path, "s3://photos/new")
        assert files.look(tmp_path, "s3://photos/new") == seen
        client.put_object(Bucket="photos", Key="old/2.png", Body=b"elsewhere")
        assert files.look(tmp_path, "s3://photos/new") == seen
        client.put_object(Bucket="photos", Key="new/1.png", Body=b"two")
        assert files.look(tmp_path, "s3://photos/new") != seen
        with pytest.raises(ConvoyError, match="cannot be listed"):
            files.look(tmp_path, "s3://nobody-has-this/new")
