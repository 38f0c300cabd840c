"""The page of a dataset version, from its report and its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy import shards
from convoy.errors import ConvoyError
from convoy.files import read_json, write_atomically, write_json
from convoy.ingestion.page import page

AVERAGED = 500
"""Images whose mean stands for a class: as good as all of them at the size of a thumbnail."""


def render(files: Mapping[str, str], report: Mapping[str, Any]) -> str:
    """Return the page; `files` maps the names of a prepared dataset to where their bytes are."""
    where = shards.places(files, left_out=True)
    numbers = {one.content: number for number, one in enumerate(where.stored)}

    def image_of(content: str) -> NDArray[np.uint8] | None:
        number = numbers.get(bytes.fromhex(content))
        if number is None:
            return None
        found: NDArray[np.uint8] = shards.gather(files, where, np.array([number]))[0]
        return found

    members: dict[str, list[int]] = {}
    for number, one in enumerate(where.stored):
        if one.split == "train" and len(members.setdefault(one.label, [])) < AVERAGED:
            members[one.label].append(number)
    means = {
        label: shards.gather(files, where, np.array(chosen)).mean(axis=0).round().astype(np.uint8)
        for label, chosen in members.items()
    }
    return page(report, image_of, means)


def write_page(files: Mapping[str, str], folder: Path) -> Path:
    """Write a version's `report.json` and `page.html` into `folder`. Return the page.

    Raises `ConvoyError` where they cannot be written.
    """
    report = read_json(Path(files["report.json"])) or {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "report.json", report)
        write_atomically(folder / "page.html", render(files, report).encode(errors="replace"))
    except OSError as error:
        raise ConvoyError(
            f"cannot write the page to {folder} ({error.strerror}): free some space or give this "
            f"user the right to write there; the version is made."
        ) from error
    return folder / "page.html"
