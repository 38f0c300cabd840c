"""Damaged objects and torn files: noticed by hash, named, brought again; never handed out."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from convoy import digests, versions
from convoy.errors import ConvoyError, DataRefused, NotReproducible, UsageError
from convoy.versions.program import dvc
from convoy.versions.restore import restore
from tests.versions.photos import Photos, delete, flip, truncate, write_images

pytestmark = pytest.mark.slow

Damage = Callable[[Path], None]


def shard(photos: Photos) -> str:
    """The hash of pixels that both versions have."""
    listed = photos.listed(photos.first)
    return next(
        md5 for name, md5 in listed.items() if name.endswith(".npy") and ".near" not in name
    )


def pack(photos: Photos) -> str:
    """The hash of a pack that both versions have."""
    both = (
        photos.listed(photos.hash("fetch", "v1")).items()
        & photos.listed(photos.hash("fetch")).items()
    )
    return next(md5 for name, md5 in both if name.endswith(".tar"))


def made(photos: Photos) -> list[str]:
    prepared = photos.project.prepared("photos")
    return [digests.file(path, "md5") for path in prepared.rglob("*") if path.is_file()]


CHOICES: dict[str, Callable[[Photos], str]] = {
    "the listing": lambda photos: photos.hash(),
    "pixels": shard,
    "the listing of what came in": lambda photos: photos.hash("fetch"),
    "a pack": pack,
}


@pytest.mark.parametrize(
    ("choice", "how"), [*((choice, flip) for choice in CHOICES), ("pixels", delete)]
)
def test_a_bad_object_is_named_and_brought_again_before_anybody_reads_it(
    photos: Photos, caplog: pytest.LogCaptureFixture, choice: str, how: Damage
) -> None:
    path = photos.object(CHOICES[choice](photos))
    whole, data = path.read_bytes(), photos.data()
    how(path)
    photos.forget(photos.project.raw("photos"), photos.project.prepared("photos"))
    with caplog.at_level(logging.INFO, "convoy.progress"):
        versions.pull(photos.project, "photos")
    assert path.read_bytes() == whole
    assert photos.data() == data
    assert (f"{path} in DVC's cache is damaged" in caplog.text) == (how is not delete)


@pytest.mark.parametrize("how", [truncate])
def test_an_ingest_mends_the_prepared_data_that_it_gives_out(photos: Photos, how: Damage) -> None:
    before = versions.current(photos.project, "photos")
    contents = {name: Path(path).read_bytes() for name, path in before.files.items()}
    for choice in ("pixels", "the listing"):
        how(photos.object(CHOICES[choice](photos)))
    after = photos.ingest()
    assert after == before
    assert {name: Path(path).read_bytes() for name, path in after.files.items()} == contents


def test_a_lost_folder_is_not_filled_with_damaged_bytes(photos: Photos) -> None:
    digest = versions.current(photos.project, "photos").digest
    flip(photos.object(shard(photos)))
    flip(photos.object(shard(photos), photos.remote))
    photos.forget(photos.project.prepared("photos"))
    after = photos.ingest()
    # Made again from the raw files: the same images, whatever shards they are in.
    assert after.digest == digest
    assert set(photos.listed(after.hash).values()) == set(made(photos))


def test_a_restore_hands_out_no_damaged_pack(photos: Photos) -> None:
    md5 = pack(photos)
    flip(photos.object(md5))
    photos.forget(photos.project.raw("photos"))
    restore(photos.project, "photos", photos.first)
    raw = photos.project.raw("photos")
    assert md5 in {digests.file(path, "md5") for path in raw.rglob("*.tar")}


@pytest.mark.parametrize("kind", [pytest.param("fetch", marks=pytest.mark.soak), "prepare"])
def test_what_is_damaged_here_and_in_the_remote_is_refused_by_name(
    photos: Photos, kind: str
) -> None:
    digest = versions.current(photos.project, "photos").digest
    md5 = pack(photos) if kind == "fetch" else shard(photos)
    flip(photos.object(md5))
    flip(photos.object(md5, photos.remote))
    with pytest.raises(NotReproducible, match=f"{md5[:2]}/{md5[2:]} is missing or damaged") as told:
        versions.pull(photos.project, "photos")
    # The mend that the sentence names.
    folder = photos.project.raw("photos") if kind == "fetch" else photos.project.prepared("photos")
    assert f"delete {folder}" in str(told.value)
    photos.forget(folder)
    assert photos.ingest().digest == digest
    assert versions.push(photos.project, "photos").digest == digest


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_a_torn_lock_is_never_taken_for_up_to_date(photos: Photos, kept: float) -> None:
    whole = photos.project.lock.read_text()
    write_images(photos.originals, [70])
    photos.project.lock.write_text(whole[: int(kept * len(whole))].rstrip()[:-1])
    before = photos.project.lock.read_bytes(), photos.data()
    for look in (versions.ingest, versions.current, versions.pull, versions.push):
        with pytest.raises(NotReproducible, match=r"git checkout dvc.lock"):
            look(photos.project, "photos")
    assert (photos.project.lock.read_bytes(), photos.data()) == before


@pytest.mark.parametrize(
    "kept",
    [0.6, *(pytest.param(share, marks=pytest.mark.soak) for share in (0.2, 0.4, 0.8, 0.95))],
)
def test_a_lock_torn_between_lines_never_hides_what_is_new(photos: Photos, kept: float) -> None:
    before = versions.current(photos.project, "photos").digest
    lines = photos.project.lock.read_text().splitlines(keepends=True)
    write_images(photos.originals, [70])
    photos.project.lock.write_text("".join(lines[: int(kept * len(lines))]))
    try:
        after = photos.ingest().digest
    except NotReproducible as told:
        assert "git checkout dvc.lock" in str(told)
    else:
        assert after != before


@pytest.mark.parametrize("torn", [pytest.param(b"", marks=pytest.mark.soak), b'{"read": {'])
def test_a_torn_note_of_who_is_at_work_stops_nobody(photos: Photos, torn: bytes) -> None:
    (photos.project.root / ".dvc" / "tmp" / "rwlock").write_bytes(torn)
    assert photos.ingest().flags == ()


@pytest.mark.parametrize(
    ("code", "kind"), [(2, UsageError), (3, DataRefused), (4, NotReproducible), (1, ConvoyError)]
)
def test_what_a_stage_refuses_keeps_its_exit_code(
    photos: Photos, code: int, kind: type[ConvoyError]
) -> None:
    program = photos.project.root / "stage.py"
    program.write_text(f"import sys\nsys.stderr.write('convoy: no more\\n')\nsys.exit({code})\n")
    (photos.project.root / "more").mkdir()
    (photos.project.root / "more" / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: python ../stage.py\n"
    )
    with pytest.raises(ConvoyError, match=r"^no more$") as told:
        dvc(photos.project, "repro", "more/dvc.yaml")
    assert type(told.value) is kind
