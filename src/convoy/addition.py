"""Adding to the datasets of params.yaml: what a person has, described without a line of Python."""

import posixpath
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
from pydantic import ValidationError

from convoy import architectures, params, sources
from convoy.decoding import decode
from convoy.errors import ConvoyError, DataRefused, UsageError
from convoy.findings import Finding
from convoy.formats import Unreadable
from convoy.ingestion.fetch import fetch
from convoy.project import Project
from convoy.settings import Dataset, load
from convoy.sources.source import Encoded, LabelledImage

SAMPLE = 64
"""Images that a proposal is made from."""
SIDES = (32, 64)
"""Sizes that are proposed: what two cores train in minutes; a person may write a larger one."""
SHARES = {"val": 0.15, "test": 0.2}
"""Shares that are proposed."""

_IDX = re.compile(r"(idx[13]|ubyte)(\.gz)?$")


@dataclass(frozen=True)
class Wanted:
    """What a person says of a dataset; what is not said is proposed from the images."""

    source: str
    """A source's name, a path from the working directory, or an address."""
    origin: str | None
    """Where the files of a named source are."""
    given: dict[str, Any]
    """Values for params.yaml."""


def add(project: Project, name: str, wanted: Wanted) -> str:
    """Write a dataset's entry, or add an origin to it. Return a sentence that says which.

    The files are fetched first: params.yaml stays as it was if they cannot be.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"{name!r} is not a name: use letters, digits, - and _.")
    settings = load(project.params, architectures.names())
    kind, origins = _kind(project, wanted)
    if name in settings.datasets:
        return _extend(project, name, settings.datasets[name], kind, origins, wanted)
    values: dict[str, Any] = {"source": kind, **({"from": origins} if origins else {})}
    if "nested" in wanted.given:
        values["nested"] = wanted.given["nested"]
    unknown = {"model": name, "channels": "rgb", "image_size": SIDES[0], **SHARES}
    draft = _checked({**values, **unknown, **wanted.given})
    values |= {"model": name, **_looked_at(project, name, draft), **SHARES, **wanted.given}
    params.add_dataset(project.params, name, values)
    return f"dataset {name!r} written ({values['channels']}, {values['image_size']} pixels a side)"


def _looked_at(project: Project, name: str, draft: Dataset) -> dict[str, Any]:
    """Bring the files of a new dataset, and propose its values; they go where it comes to none."""
    raw = project.raw(name)
    ours = not raw.exists()
    try:
        fetch(draft, project.origins(draft.origins), raw, project.memory(name))
        return propose(sources.describe(draft.source).read(draft, raw))
    except ConvoyError:
        if ours:
            shutil.rmtree(raw, ignore_errors=True)
        raise


def propose(entries: Iterable[LabelledImage | Finding]) -> dict[str, Any]:
    """Return channels and size for images like those of a source."""
    sides, colours = [], set()
    for entry in _some(entry for entry in entries if isinstance(entry, LabelledImage)):
        try:
            pixels = _pixels(entry)
        except Unreadable:
            continue
        sides.append(min(pixels.shape[:2]))
        gray = pixels.shape[2] == 1 or bool(
            (np.ptp(pixels[..., :3].astype(np.int16), axis=2) <= 2).all()
        )
        colours.add("gray" if gray else "rgb")
    if not sides:
        raise DataRefused("no image was found there: name the folder that holds the images.")
    fitting = [side for side in SIDES if side <= median(sides)]
    return {
        "channels": "gray" if colours == {"gray"} else "rgb",
        "image_size": max(fitting, default=SIDES[0]),
    }


def _some(entries: Iterable[LabelledImage]) -> list[LabelledImage]:
    """Return some from all over: the first ones are often of one class."""
    draw = Random(0)
    chosen: list[LabelledImage] = []
    for number, entry in enumerate(entries):
        place = number if number < SAMPLE else draw.randrange(number + 1)
        if place < SAMPLE:
            chosen[place : place + 1] = [entry]
    return chosen


def _pixels(entry: LabelledImage) -> Any:
    if isinstance(entry.image, Encoded):
        return decode(entry.image.read(), "rgb", entry.path)
    return entry.image


def _kind(project: Project, wanted: Wanted) -> tuple[str, list[str]]:
    """Return the name of the source and its origins as params.yaml is to have them."""
    named = set(sources.names()) - {"files", "idx"}
    if wanted.source in named:
        return wanted.source, [_written(project, wanted.origin)] if wanted.origin else []
    if wanted.origin:
        raise UsageError(
            f"--from is for a named source ({', '.join(sorted(named))}); {wanted.source!r} says "
            f"by itself where it is."
        )
    if not wanted.source:
        raise UsageError("the source has no name: write a path, an address, or a named source.")
    origin = _written(project, wanted.source)
    place = Path(project.origins((origin,))[0])
    if project.root.is_relative_to(place.resolve()):
        raise DataRefused(f"{wanted.source} holds this project itself: name a folder of images.")
    try:
        there = "://" in origin or place.exists()
        inside = [file.name for file in place.iterdir()] if place.is_dir() else [place.name]
    except OSError as error:
        raise DataRefused(f"cannot read {wanted.source} ({error.strerror}).") from None
    if not there:
        raise DataRefused(
            f"{wanted.source} is neither a file or folder nor a named source "
            f"({', '.join(sorted(named))}): check the path."
        )
    return ("idx" if any(_IDX.search(file) for file in inside) else "files"), [origin]


def _written(project: Project, origin: str) -> str:
    """Return a path as seen from the project's top, where it began relative; others as they are."""
    if "://" in origin or origin.startswith("~") or Path(origin).is_absolute():
        return origin
    absolute = Path.cwd() / origin
    return posixpath.relpath(absolute.as_posix(), project.root.as_posix())


def _extend(
    project: Project, name: str, entry: Dataset, kind: str, origins: list[str], wanted: Wanted
) -> str:
    if kind != entry.source:
        raise UsageError(
            f"dataset {name!r} is of source {entry.source!r}, which {wanted.source!r} is not: "
            f"give it another name."
        )
    if entry.version:
        raise UsageError(
            f"dataset {name!r} is kept at version {entry.version}: let it follow its source again "
            f"with `convoy data restore {name} latest`, then add to it."
        )
    for key, value in wanted.given.items():
        if getattr(entry, key) != value:
            raise UsageError(
                f"dataset {name!r} has {key} {getattr(entry, key)!r}: change it in params.yaml."
            )
    known = {Path(at).resolve() for at in project.origins(entry.origins)}
    new = [o for o in origins if Path(project.origins((o,))[0]).resolve() not in known]
    if not new:
        return f"dataset {name!r} has this source already"
    # Fetched with the stages; here it is only made sure that the new one can be reached.
    sources.describe(kind).fingerprint(project.origins(tuple(new)))
    params.append(project.params, name, "from", new)
    return f"{', '.join(new)} added to dataset {name!r}"


def _checked(values: dict[str, Any]) -> Dataset:
    try:
        return Dataset.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        key = ".".join(str(part) for part in first["loc"])
        named = f"{key} is {first['input']!r}, but {said[:1].lower()}{said[1:]}" if key else said
        raise UsageError(f"{named}.") from None
