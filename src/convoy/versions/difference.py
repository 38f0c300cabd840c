"""What changed between two versions of a dataset: added, removed, relabelled, moved."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from convoy.errors import UsageError
from convoy.shards import Stored, places
from convoy.versions import Version


@dataclass(frozen=True)
class Difference:
    """Images by class; what is `before` and `after` are the counts of the two manifests."""

    before: dict[str, int]
    after: dict[str, int]
    added: dict[str, int]
    removed: dict[str, int]
    relabelled: dict[str, dict[str, int]]
    """By the former class and the new one."""
    moved: dict[str, int]
    """Images in both versions by "split -> split"."""
    paths: dict[str, list[str]]
    """Some of the images that were `added`, `removed` and `relabelled`."""


SHOWN = 100


def difference(one: Version, other: Version) -> Difference:
    """Return what turns the version `one` into `other`, by the images' content.

    Raises `UsageError` for versions of different colours, whose contents do not compare.
    """
    _require(one)
    _require(other)
    colours = one.manifest["channels"], other.manifest["channels"]
    if colours[0] != colours[1]:
        raise UsageError(
            f"{one.hash[:12]} is {colours[0]} and {other.hash[:12]} is {colours[1]}: none of their "
            f"images are the same; compare versions with the same `channels`."
        )
    before, after = _images(one), _images(other)
    added = [after[content] for content in sorted(after.keys() - before.keys())]
    removed = [before[content] for content in sorted(before.keys() - after.keys())]
    both = [(before[content], after[content]) for content in sorted(before.keys() & after.keys())]
    relabelled: dict[str, Counter[str]] = {}
    changed = [(was, now) for was, now in both if was.label != now.label]
    for was, now in changed:
        relabelled.setdefault(was.label, Counter())[now.label] += 1
    moves = Counter(f"{was.split} -> {now.split}" for was, now in both if was.split != now.split)
    return Difference(
        _by_class(before.values()),
        _by_class(after.values()),
        _by_class(added),
        _by_class(removed),
        {label: dict(sorted(found.items())) for label, found in sorted(relabelled.items())},
        dict(sorted(moves.items())),
        {
            "added": [image.path for image in added[:SHOWN]],
            "removed": [image.path for image in removed[:SHOWN]],
            "relabelled": [now.path for _, now in changed[:SHOWN]],
        },
    )


def _require(version: Version) -> None:
    for name, path in version.files.items():
        if name.endswith((".csv", "manifest.json")) and not Path(path).is_file():
            raise UsageError(
                f"version {version.hash[:12]} is not here as a whole: bring it with `convoy data "
                f"restore {version.dataset} {version.hash[:12]}`."
            )


def _images(version: Version) -> dict[bytes, Stored]:
    return {image.content: image for image in places(version.files).stored}


def _by_class(images: Iterable[Stored]) -> dict[str, int]:
    return dict(sorted(Counter(image.label for image in images).items()))
