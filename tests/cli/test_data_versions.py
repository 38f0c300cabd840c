"""`convoy data versions | diff | restore | push | pull` as a person runs them: one story."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pets import EACH, Pets, add_pets, contents, picture
from tests.terminal import git

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Story:
    """A dataset with two versions; the first is committed and tagged v1, the second is not."""

    pets: Pets
    first: str
    second: str

    def copy(self, home: Path) -> "Story":
        return Story(self.pets.copy(home), self.first, self.second)


@pytest.fixture(scope="session")
def story(_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Three pictures more, two fewer and one with another label. Tests leave it as it is."""
    pets = add_pets(_clone, tmp_path_factory.mktemp("story") / "home")
    assert pets.done.code == 0, pets.done.err
    first = pets.recorded()
    git(pets.root, "commit", "--quiet", "--all", "--message", "The pets")
    git(pets.root, "tag", "v1")
    for number in range(3):
        picture(5000 + number).save(pets.pictures / "cat" / f"new {number}.png")
    for number in (10, 11):
        (pets.pictures / "cat" / f"{number}.png").unlink()
    (pets.pictures / "dog" / "12.png").rename(pets.pictures / "cat" / "was a dog.png")
    done = pets.run("data", "check", "pets", "--json")
    assert done.code == 0, done.err
    return Story(Pets(pets.home, done), first, pets.recorded())


def test_versions_are_listed_with_what_each_is(story: Story) -> None:
    one, other = story.pets.run("data", "versions", "pets", "--json").json()
    assert (one["hash"], other["hash"]) == (story.first, story.second)
    assert (one["present"], other["present"]) == (False, True)
    assert one["tags"] == ["v1"] and other["tags"] == []
    assert one["commit"] == git(story.pets.root, "rev-parse", "v1") and other["commit"] == ""
    assert sum(sum(by.values()) for by in one["counts"].values()) == 2 * EACH + 1
    assert other["counts"] == story.pets.manifest()["counts"]
    assert other["digest"] == story.pets.manifest()["digest"]


def test_versions_are_listed_after_a_kill_that_tore_dvc_lock(story: Story, tmp_path: Path) -> None:
    pets = story.copy(tmp_path / "home").pets
    lock = pets.root / "dvc.lock"
    whole = lock.read_bytes()
    for command in (["versions", "pets"], ["diff", "pets", "v1", story.second]):
        (pets.root / ".convoy" / "ingesting-pets").write_bytes(whole)
        lock.write_bytes(b"")
        assert pets.run("data", *command).code == 0
        assert lock.read_bytes() == whole


def test_versions_are_printed_within_80_columns(story: Story) -> None:
    done = story.pets.run("data", "versions", "pets")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "v1" in rows[story.first[:12]] and "not committed" in rows[story.second[:12]]
    assert f"cat {EACH}, dog {EACH + 1}" in done.out
    assert f"{story.second[:12]} *" in done.out


def test_a_dataset_without_versions_is_told_how_to_get_one(story: Story, tmp_path: Path) -> None:
    own = story.copy(tmp_path / "home").pets
    params = own.root / "params.yaml"
    params.write_text(params.read_text().replace("  pets:", "  other:"))
    assert own.run("data", "versions", "other").out == (
        "other has no version yet: run `convoy data check other`.\n"
    )
    assert own.run("data", "versions", "other", "--json").json() == []
    done = own.run("data", "push", "other")
    assert done.code == 4 and "records no version of 'other'" in done.sentence


def test_a_difference_adds_up_to_both_manifests(story: Story) -> None:
    found = story.pets.run("data", "diff", "pets", "v1", story.second[:9], "--json").json()
    assert (found["from"], found["to"]) == (story.first, story.second)
    assert found["added"] == {"cat": 3}
    assert found["removed"] == {"cat": 2}
    assert found["relabelled"] == {"dog": {"cat": 1}}
    assert found["paths"]["relabelled"] == ["cat/was a dog.png"]
    assert found["before"] == {"cat": EACH, "dog": EACH + 1}
    assert found["after"] == {"cat": EACH + 2, "dog": EACH}
    counts = story.pets.manifest()["counts"].values()
    assert found["after"] == {k: sum(by[k] for by in counts) for k in ("cat", "dog")}


def test_a_difference_is_printed_by_class_with_its_sums(story: Story) -> None:
    done = story.pets.run("data", "diff", "pets", "v1", story.second)
    assert done.out.splitlines()[0] == f"{story.first[:12]} to {story.second[:12]}"
    rows = [line.split() for line in done.out.splitlines()]
    assert ["cat", "60", "+3", "-2", "+1", "-0", "62"] in rows
    assert ["dog", "61", "0", "0", "+0", "-1", "60"] in rows
    assert ["all", "121", "+3", "-2", "1", "122"] in rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diff", "pets", "v1", "v2"), "unknown version 'v2' of 'pets'"),
        (("restore", "pets", "0000"), "unknown version '0000' of 'pets'"),
        (("restore", "pets", ""), "unknown version ''"),
    ],
)
def test_an_unknown_version_is_refused(
    story: Story, arguments: tuple[str, ...], words: str
) -> None:
    before = git(story.pets.root, "status", "--porcelain")
    done = story.pets.run("data", *arguments)
    assert done.code == 2
    assert words in done.sentence
    assert git(story.pets.root, "status", "--porcelain") == before
    assert story.pets.recorded() == story.second


def test_a_version_is_restored_kept_and_left_again(story: Story, tmp_path: Path) -> None:
    own = story.copy(tmp_path / "home").pets
    params = (own.root / "params.yaml").read_bytes()
    pictures = contents(own.pictures)
    done = own.run("data", "restore", "pets", "v1")
    assert done.code == 0, done.err
    assert f"pets is at version {story.first[:12]} and stays there" in done.out
    assert "`convoy data restore pets latest`" in done.out
    assert own.recorded() == story.first
    checked = own.run("data", "check", "pets", "--json").json()
    assert checked["version"] == story.first and checked["totals"]["kept"] == 2 * EACH + 1
    latest = own.run("data", "restore", "pets", "latest", "--json").json()
    assert latest["version"] == story.second == own.recorded()
    assert (own.root / "params.yaml").read_bytes() == params
    assert contents(own.pictures) == pictures


def test_a_clone_pulls_what_was_pushed(story: Story, tmp_path: Path) -> None:
    own = story.copy(tmp_path / "home").pets
    pushed = own.run("data", "push", "pets", "--json").json()
    assert (pushed["dataset"], pushed["version"]) == ("pets", story.second)
    said = own.run("data", "push", "pets")
    assert f"pets version {story.second[:12]} is in the remote.\nNote: its dvc.lock" in said.out
    prepared = contents(own.root / "data/prepared/pets")
    for lost in (".convoy/dvc-cache", "data/prepared", "data/raw"):
        shutil.rmtree(own.root / lost)
    pulled = own.run("data", "pull", "pets")
    assert pulled.code == 0, pulled.err
    assert f"pets version {story.second[:12]} is here.\n" in pulled.out
    assert contents(own.root / "data/prepared/pets") == prepared
