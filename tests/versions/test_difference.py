"""What changed between two versions: numbers that add up to what the manifests say."""

from collections.abc import Mapping

import pytest

from convoy.errors import ConvoyError, NotReproducible, UsageError
from convoy.versions import Version, stored
from convoy.versions.difference import Difference, difference
from tests.terminal import convoy
from tests.versions.photos import CLASSES, Photos, relabel, write_images

pytestmark = pytest.mark.slow


def version(photos: Photos, hash: str) -> Version:
    return stored(photos.project, "photos", hash)


def images(version: Version) -> dict[str, int]:
    """A version's images by class, as its manifest has them."""
    counts: Mapping[str, Mapping[str, int]] = version.manifest["counts"]
    return {label: sum(split.get(label, 0) for split in counts.values()) for label in CLASSES}


def assert_it_adds_up(found: Difference, before: Version, after: Version) -> None:
    for label in CLASSES:
        outward = sum(found.relabelled.get(label, {}).values())
        inward = sum(into.get(label, 0) for into in found.relabelled.values())
        change = found.added.get(label, 0) - found.removed.get(label, 0) - outward + inward
        assert found.before.get(label, 0) + change == found.after.get(label, 0)
    assert found.before == {k: v for k, v in images(before).items() if v}
    assert found.after == {k: v for k, v in images(after).items() if v}


def test_what_was_added_removed_and_relabelled_is_told_by_class(photos: Photos) -> None:
    before, after = version(photos, photos.first), version(photos, photos.second)
    found = difference(before, after)
    assert found.added == {"cat": 4, "dog": 3, "owl": 3}
    assert found.removed == {"cat": 2, "dog": 2, "owl": 2}
    assert found.relabelled == {"cat": {"owl": 3}}
    assert found.moved == {}
    assert set(found.paths["relabelled"]) == {f"owl/{number:05}.png" for number in (30, 33, 36)}
    assert "cat/00000.png" in found.paths["removed"] and "cat/00060.png" in found.paths["added"]
    assert_it_adds_up(found, before, after)


def test_the_way_back_is_the_opposite(photos: Photos) -> None:
    before, after = version(photos, photos.first), version(photos, photos.second)
    there, back = difference(before, after), difference(after, before)
    assert (back.added, back.removed) == (there.removed, there.added)
    assert back.relabelled == {"owl": {"cat": 3}}
    assert_it_adds_up(back, after, before)


def test_a_version_does_not_differ_from_itself(photos: Photos) -> None:
    same = version(photos, photos.first)
    found = difference(same, same)
    assert not (found.added or found.removed or found.relabelled or found.moved)
    assert found.before == found.after == images(same)


def test_other_shares_move_images_and_nothing_else(photos: Photos) -> None:
    before = version(photos, photos.second)
    photos.edit("test: 0.2", "test: 0.5")
    relabel(photos.originals, 45, "dog")
    after = photos.ingest()
    found = difference(before, after)
    assert not found.added and not found.removed
    assert found.relabelled == {"cat": {"dog": 1}}
    assert sum(found.moved.values()) > 5
    tests = [sum(one.manifest["counts"]["test"].values()) for one in (before, after)]
    into = sum(n for way, n in found.moved.items() if way.endswith("-> test"))
    out_of = sum(n for way, n in found.moved.items() if way.startswith("test ->"))
    assert tests[0] + into - out_of == tests[1]
    assert_it_adds_up(found, before, after)


def test_a_renamed_file_is_the_same_image(photos: Photos) -> None:
    (photos.originals / "cat" / "00045.png").rename(photos.originals / "cat" / "a name.png")
    write_images(photos.originals, [70])
    found = difference(version(photos, photos.second), photos.ingest())
    assert (found.added, found.removed, found.relabelled) == ({"dog": 1}, {}, {})


@pytest.mark.soak
def test_versions_of_different_colours_are_refused(photos: Photos) -> None:
    photos.edit("channels: rgb", "channels: gray")
    gray = photos.ingest()
    with pytest.raises(UsageError, match=r"is rgb and .* is gray: none of their images"):
        difference(version(photos, photos.second), gray)


@pytest.mark.parametrize("gone", ["the listing", "the manifest", "a table"])
def test_a_version_that_is_not_here_is_told_with_the_command_that_brings_it(
    photos: Photos, gone: str
) -> None:
    second = photos.listed(photos.second)
    for name, md5 in photos.listed(photos.first).items():
        wanted = name == "manifest.json" if gone == "the manifest" else name.endswith(".csv")
        if gone != "the listing" and wanted and md5 not in second.values():
            photos.object(md5).unlink()
    if gone == "the listing":
        photos.object(photos.first).unlink()
    with pytest.raises((UsageError, NotReproducible)) as error:
        difference(version(photos, photos.first), version(photos, photos.second))
    assert isinstance(error.value, ConvoyError)
    assert f"convoy data restore photos {photos.first[:12]}" in str(error.value)


def test_the_command_gives_the_same_numbers_as_json_and_as_a_table(photos: Photos) -> None:
    root = photos.project.root
    told = convoy(root, "data", "diff", "photos", "v1", photos.second[:8], "--json").json()
    assert (told["from"], told["to"]) == (photos.first, photos.second)
    assert told["added"] == {"cat": 4, "dog": 3, "owl": 3}
    assert told["relabelled"] == {"cat": {"owl": 3}}
    shown = convoy(root, "data", "diff", "photos", "v1", "HEAD")
    assert shown.code == 0 and "owl" in shown.out
