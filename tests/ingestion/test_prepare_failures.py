"""A version is whole or not there: refusals, full disks, kills at any moment."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from convoy import shards
from convoy.errors import ConvoyError, DataRefused
from convoy.ingestion.fetch import fetch
from convoy.ingestion.prepare import files_of
from convoy.ingestion.render import write_page
from tests import kills
from tests.ingestion.places import Place, drawn, named, whole
from tests.origins.held import tree

# Refusals.


@pytest.mark.parametrize("bad", [1, 2, 3, 5])
def test_one_bad_file_in_a_hundred_is_put_up_with_and_no_more(place: Place, bad: int) -> None:
    place.write(named(drawn(200 - bad)))
    for number in range(bad):
        (place.photos / f"{number % 2}/bad {number}.png").write_bytes(b"")
    if bad <= 2:
        place.ingest()
        assert place.manifest["totals"]["quarantined"] == bad
    else:
        with pytest.raises(DataRefused, match=rf"{bad} of 200 files .*checks.quarantined"):
            place.ingest()


@pytest.mark.parametrize("first", [False, True])
def test_a_refusal_leaves_the_version_as_it_was_and_a_report(place: Place, first: bool) -> None:
    if not first:
        place.write(named(drawn(120)))
        place.ingest()
        assert not (place.root / "reports").exists()
    before = tree(place.prepared)
    place.write({f"2/{number}.png": image for number, image in enumerate(drawn(1, seed=5))})
    with pytest.raises(DataRefused, match=r"dataset 'animals'.*page\.html") as refused:
        place.ingest()
    assert refused.value.exit_code == 3
    assert tree(place.prepared) == before
    there = {"memory", "photos", "raw", "reports"} | (set() if first else {"prepared"})
    assert {path.name for path in place.root.iterdir()} == there
    report = json.loads((place.root / "reports/report.json").read_text())
    assert report["version"] == ""
    reason = report["findings"]["refused"]["listed"][0]["reason"]
    assert reason in str(refused.value)
    page = (place.root / "reports/page.html").read_text()
    assert page.count("data:image/png") > (0 if first else 10)


def test_a_dataset_of_bad_files_alone_is_refused_with_a_report(place: Place) -> None:
    (place.photos / "0").mkdir(parents=True)
    (place.photos / "0/1.png").write_bytes(b"")
    with pytest.raises(DataRefused, match="1 of 1 files"):
        place.ingest()
    assert (place.root / "reports/page.html").is_file()


# Crashes.


def test_a_full_disk_leaves_the_version_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.write(named(drawn(20, seed=1), start=500))

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_pixels", full)
        with pytest.raises(ConvoyError, match=r"cannot write .*No space left.*free some space"):
            place.ingest()
    assert tree(place.prepared) == before
    assert {path.name for path in place.root.iterdir()} == {"memory", "photos", "prepared", "raw"}


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_leaves_the_version_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.write(named(drawn(20, seed=1), start=500))
    rename, renames = Path.rename, []

    def failed(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failed)
        with pytest.raises(ConvoyError, match="the former version is as it was"):
            place.prepare()
    assert tree(place.prepared) == before


def test_a_version_between_the_two_renames_is_put_back(place: Place, decodes: list[str]) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    before = tree(place.prepared)
    place.prepared.rename(place.root / ".prepared.former")
    (place.root / ".prepared.draft").mkdir()
    decodes.clear()
    place.ingest()
    assert tree(place.prepared) == before
    assert decodes == []
    assert not any(path.name.startswith(".") for path in place.root.iterdir())


PROGRAM = """
from pathlib import Path
from tests import kills
from tests.ingestion.places import Place

def run(root):
    Place(Path(root)).prepare()
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_version(tmp_path: Path) -> None:
    images = list(named(drawn(320, side=24)).items())
    place = Place(tmp_path / "place")
    place.write(dict(images[:200]))
    former = tree(place.ingest().prepared)
    place.write(dict(images[200:]))
    fetch(place.dataset(), (str(place.photos),), place.root / "raw", place.root / "memory")

    def copy(name: str) -> Place:
        return Place(shutil.copytree(place.root, tmp_path / name))

    undisturbed = copy("undisturbed")
    changes = kills.changes(PROGRAM, undisturbed.root)
    grown = tree(undisturbed.prepared)
    assert changes > 15 and grown != former
    # The last changes are the two renames and what is tidied up after them.
    moments = sorted({*kills.spread(changes, 3), *range(changes - 4, changes)})
    killed = {moment: copy(f"killed {moment}") for moment in moments}
    kills.kill(PROGRAM, {moment: (one.root,) for moment, one in killed.items()})
    for moment, one in killed.items():
        if one.prepared.exists():
            assert tree(one.prepared) in (former, grown), moment
            whole(one)
        else:
            assert tree(one.root / ".prepared.former") == former, moment
        assert tree(one.prepare().prepared) == grown, moment
        left = {path.name for path in one.root.iterdir()}
        assert left == {"memory", "photos", "prepared", "raw"}, moment


def test_a_page_that_cannot_be_written_is_said_in_one_sentence(place: Place) -> None:
    place.write(named(drawn(120)))
    place.ingest()
    taken = place.root / "taken"
    taken.write_text("a file, where the folder should be")
    with pytest.raises(ConvoyError, match=r"cannot write the page to .*taken.*is made"):
        write_page(files_of(place.prepared), taken)
