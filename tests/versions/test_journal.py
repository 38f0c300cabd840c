"""Which versions there were: Git's history and the journal, and the names that people give them."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from convoy.errors import UsageError
from convoy.versions import UNCOMMITTED, journal, pull, uncommitted
from tests.terminal import convoy, git
from tests.versions.photos import Photos, delete, truncate, write_images

pytestmark = pytest.mark.slow


def written(photos: Photos) -> list[dict[str, object]]:
    path = photos.project.state / "versions" / "photos.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def append(photos: Photos, text: str) -> None:
    path = photos.project.state / "versions" / "photos.jsonl"
    path.write_text(path.read_text() + text)


def test_the_versions_have_hash_date_images_by_class_commit_and_tag(photos: Photos) -> None:
    one, two = journal.versions(photos.project, "photos")
    assert (one.hash, two.hash) == (photos.first, photos.second)
    assert datetime.fromisoformat(one.date) <= datetime.fromisoformat(two.date)
    images = {
        label: sum(split[label] for split in two.counts.values()) for label in ("cat", "dog", "owl")
    }
    assert images == {"cat": 24 - 2 - 3, "dog": 23 - 2, "owl": 23 - 2 + 3}
    head, before = git(photos.project.root, "log", "--format=%H").splitlines()[:2]
    assert (one.commit, two.commit) == (before, head)
    assert (one.tags, two.tags) == (["v1"], [])


def test_a_version_that_nobody_committed_is_listed_without_a_commit(photos: Photos) -> None:
    write_images(photos.originals, [70])
    version = photos.ingest()
    *_, last = journal.versions(photos.project, "photos")
    assert (last.hash, last.digest, last.commit) == (version.hash, version.digest, "")


def test_a_version_of_another_branch_is_listed_too(clone: Photos) -> None:
    root = clone.project.root
    git(root, "branch", "newer")
    git(root, "reset", "--quiet", "--hard", "v1")
    assert [one.hash for one in journal.versions(clone.project, "photos")] == [
        clone.first,
        clone.second,
    ]


def test_a_version_that_looks_like_an_option_of_git_is_unknown_and_writes_nothing(
    photos: Photos,
) -> None:
    with pytest.raises(UsageError, match="unknown version"):
        journal.find(photos.project, "photos", "--output=written")
    assert not list(photos.project.root.glob("written*"))


def test_ingesting_the_same_again_is_no_other_version(photos: Photos) -> None:
    before = written(photos)
    photos.ingest()
    assert written(photos) == before


def test_a_clone_knows_the_versions_by_gits_history_and_their_images_once_they_are_there(
    clone: Photos,
) -> None:
    one, two = journal.versions(clone.project, "photos")
    assert (one.hash, two.hash, one.tags) == (clone.first, clone.second, ["v1"])
    assert not one.counts and not two.counts
    pull(clone.project, "photos")
    one, two = journal.versions(clone.project, "photos")
    assert not one.counts
    assert sum(sum(split.values()) for split in two.counts.values()) == 64
    assert journal.find(clone.project, "photos", two.digest[:10]).hash == clone.second


@pytest.mark.parametrize("how", [truncate, delete])
def test_a_damaged_manifest_costs_the_counts_alone(
    photos: Photos, how: Callable[[Path], None]
) -> None:
    (photos.project.state / "versions" / "photos.jsonl").unlink()
    how(photos.object(photos.listed(photos.first)["manifest.json"]))
    one, two = journal.versions(photos.project, "photos")
    assert (one.hash, one.counts) == (photos.first, {})
    assert two.counts


@pytest.mark.parametrize("torn", ['{"hash": "4', '{"hash": "4\0\0', "\x00\x00\n"])
def test_a_torn_last_line_is_no_version_and_hides_none_that_comes_after(
    photos: Photos, torn: str
) -> None:
    append(photos, torn)
    assert [one.hash for one in journal.versions(photos.project, "photos")] == [
        photos.first,
        photos.second,
    ]
    third = "3" * 32 + ".dir"
    stages = {"prepare@photos": {"outs": [{"md5": third}]}}
    journal.write(photos.project, "photos", {"digest": "d", "counts": {}}, stages)
    found = journal.versions(photos.project, "photos")
    assert [one.hash for one in found] == [photos.first, photos.second, third]


@pytest.mark.parametrize("torn", ["", "schema: '2.0'\nstages:\n  prepare@photos: [", "\0"])
def test_a_torn_lock_in_the_history_is_passed_over(photos: Photos, torn: str) -> None:
    whole = photos.project.lock.read_text()
    photos.project.lock.write_text(torn)
    photos.commit()
    photos.project.lock.write_text(whole)
    found = journal.versions(photos.project, "photos")
    assert [one.hash for one in found] == [photos.first, photos.second]
    # The commit that is checked out does not have the version, whatever it has.
    assert uncommitted(photos.project, "photos") == [UNCOMMITTED]
    photos.commit()
    assert uncommitted(photos.project, "photos") == []


def test_versions_are_in_order_whatever_clocks_they_were_made_by(photos: Photos) -> None:
    (photos.project.state / "versions" / "photos.jsonl").unlink()
    for number, date in enumerate(["2030-01-01T00:30:00+0900", "2029-12-31T23:00:00-0500"]):
        append_entry(photos, f"{number}" * 32 + ".dir", date)
    *_, one, two = journal.versions(photos.project, "photos")
    assert (one.hash[0], two.hash[0]) == ("0", "1")


def append_entry(photos: Photos, version: str, date: str = "2030-01-01T00:00:00+0000") -> None:
    entry = {"hash": version, "date": date, "digest": "", "counts": {}, "stages": {}}
    path = photos.project.state / "versions" / "photos.jsonl"
    text = path.read_text() if path.exists() else ""
    path.write_text(f"{text}{json.dumps(entry)}\n")


def test_a_version_is_found_by_hash_digest_tag_and_commit(photos: Photos) -> None:
    one, two = journal.versions(photos.project, "photos")
    commits = git(photos.project.root, "log", "--format=%H").splitlines()
    for wanted in (one.hash, one.hash[:8], one.digest, one.digest[:8], "v1", commits[1], "HEAD~1"):
        assert journal.find(photos.project, "photos", wanted).hash == photos.first
    for wanted in (two.hash.removesuffix(".dir"), two.digest, commits[0], commits[0][:10], "main"):
        assert journal.find(photos.project, "photos", wanted).hash == photos.second


@pytest.mark.parametrize("wanted", ["zebra", "", "v2", "--help", "../../etc", "\n"])
def test_an_unknown_version_is_refused_with_those_that_are_known(
    photos: Photos, wanted: str
) -> None:
    with pytest.raises(UsageError, match=r"^unknown version .* of 'photos': ") as error:
        journal.find(photos.project, "photos", wanted)
    assert photos.second[:12] in str(error.value)


def test_a_beginning_that_several_versions_share_is_refused_with_their_names(
    photos: Photos,
) -> None:
    append_entry(photos, "z1" + "0" * 30 + ".dir")
    append_entry(photos, "z2" + "0" * 30 + ".dir")
    with pytest.raises(UsageError, match=r"several versions \(z10+, z20+\): write more"):
        journal.find(photos.project, "photos", "z")
    assert journal.find(photos.project, "photos", "z2").hash.startswith("z2")


def test_the_command_lists_them_and_refuses_an_unknown_one_in_one_sentence(photos: Photos) -> None:
    listed = convoy(photos.project.root, "data", "versions", "photos", "--json").json()
    assert [(row["hash"], row["present"]) for row in listed] == [
        (photos.first, False),
        (photos.second, True),
    ]
    shown = convoy(photos.project.root, "data", "versions", "photos")
    assert photos.first[:12] in shown.out and "v1" in shown.out
    for command in (["restore", "photos", "zebra"], ["diff", "photos", "v1", "zebra"]):
        done = convoy(photos.project.root, "data", *command)
        assert done.code == 2
        assert "unknown version 'zebra' of 'photos'" in done.sentence
