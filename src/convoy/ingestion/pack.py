"""A source's images as packed arrays, with an index and a manifest.

data/prepared/<dataset>/ holds, for each split, `<split>-images.npy` (N, side, side, C) uint8 and
`<split>-labels.npy` (N,) int64, and `index.csv` (path, content, label, split) in the arrays' order,
and `manifest.json`. Order and bytes follow from the content alone, so the same images always make
the same dataset version.
"""

import csv
import io
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convoy.errors import DataRefused
from convoy.files import write_atomically, write_json
from convoy.ingestion.split import SPLITS, Split, content_hash, split_of
from convoy.preprocessing import COUNT, resize
from convoy.settings import Dataset
from convoy.sources import describe
from convoy.sources.source import LabelledImage


def fetch(settings: Dataset, raw: Path) -> None:
    """Have the source write what came in, unless something lies there: raw files are the user's."""
    raw.mkdir(parents=True, exist_ok=True)
    if not any(raw.iterdir()):
        describe(settings.source).fetch(raw)


def prepare(name: str, settings: Dataset, raw: Path, prepared: Path) -> None:
    """Write `prepared` as a whole, or leave it as it was.

    Raises `DataRefused` for labels that contradict each other and for splits that lack a class.
    """
    images = _unique(describe(settings.source).read(raw))
    classes = sorted({found.label for found in images.values()}, key=_numbers_by_value)
    if len(classes) < 2:
        raise DataRefused(f"{raw} holds {len(classes)} class(es): a classifier needs at least two.")
    draft = prepared.with_name(f".{prepared.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write(draft, name, settings, images, classes)
        shutil.rmtree(prepared, ignore_errors=True)
        draft.rename(prepared)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unique(found: Any) -> dict[str, LabelledImage]:
    """Return the images by content, each once. Raises `DataRefused` where its labels differ."""
    images: dict[str, LabelledImage] = {}
    for image in found:
        first = images.setdefault(content_hash(image.image), image)
        if first.label != image.label:
            raise DataRefused(
                f"{image.path} is the same image as {first.path}, but labelled {image.label!r} "
                f"instead of {first.label!r}: remove one of them."
            )
    return images


def _write(
    draft: Path,
    name: str,
    settings: Dataset,
    images: dict[str, LabelledImage],
    classes: list[str],
) -> None:
    splits: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for content in sorted(images):
        splits[split_of(content, settings.val, settings.test)].append(content)
    index = io.StringIO()
    rows = csv.writer(index, lineterminator="\n")
    rows.writerow(("path", "content", "label", "split"))
    counts: dict[str, dict[str, int]] = {}
    mean, std = [0.0], [1.0]
    for split, contents in splits.items():
        counted = Counter(images[content].label for content in contents)
        counts[split] = {label: counted[label] for label in classes}
        if missing := [label for label in classes if not counted[label]]:
            raise DataRefused(
                f"dataset {name!r}: the {split} split has no image of class {missing[0]!r}; add "
                f"images of it or raise the share of {split} in params.yaml."
            )
        packed = _pack([images[content].image for content in contents], settings)
        labels = np.array([classes.index(images[content].label) for content in contents], np.int64)
        if split == "train":
            mean, std = _moments(packed)
        _save(draft / f"{split}-images.npy", packed)
        _save(draft / f"{split}-labels.npy", labels)
        rows.writerows((images[c].path, c, images[c].label, split) for c in contents)
    write_atomically(draft / "index.csv", index.getvalue().encode())
    manifest = {
        "dataset": name,
        "source": settings.source,
        "classes": classes,
        "channels": settings.channels,
        "image_size": settings.image_size,
        "counts": counts,
        "mean": mean,
        "std": std,
    }
    write_json(draft / "manifest.json", manifest)


def _pack(images: list[NDArray[np.uint8]], settings: Dataset) -> NDArray[np.uint8]:
    """Return (N, side, side, C): each image by the one resize, through the one colour form."""
    side, channels = settings.image_size, COUNT[settings.channels]
    packed = np.empty((len(images), side, side, channels), np.uint8)
    for place, image in enumerate(images):
        if image.shape[2] != channels:
            raise DataRefused(
                f"the source gives images of {image.shape[2]} channel(s), but params.yaml says "
                f"{settings.channels!r}: change `channels`."
            )
        tensor = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0)
        packed[place] = resize(tensor, side)[0].permute(1, 2, 0).to(torch.uint8).numpy()
    return packed


def _moments(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return mean and deviation a channel from exact counts of grey levels."""
    mean, std = [], []
    for channel in range(images.shape[3]):
        levels = np.bincount(images[..., channel].ravel(), minlength=256)
        total = int(levels.sum())
        first = int((levels * np.arange(256)).sum()) / total
        second = int((levels * np.arange(256) ** 2).sum()) / total
        mean.append(round(first, 6))
        std.append(round(max(second - first**2, 1.0) ** 0.5, 6))
    return mean, std


def _save(path: Path, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def _numbers_by_value(label: str) -> tuple[bool, int, str]:
    """Order "2" before "10", and words after numbers."""
    return (not label.isdecimal(), int(label) if label.isdecimal() else 0, label)
