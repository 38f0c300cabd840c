"""Labels and splits from paths: a folder a class, below folders named after splits or not.

What torchvision's ImageFolder reads, but for three things that it gets silently wrong: a folder
that everything lies in is no class, folders below a class are asked about, and files beside the
classes are named.
"""

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins.origin import quarantined
from convoy.splits import Split

SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What people call the splits, in lower case."""
_DOCUMENTS = {
    *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"),
    *(".html", ".pdf", ".log", ".toml", ".ini", ".py", ".ipynb", ".parquet", ".sha256", ".md5"),
}
_DOCUMENT_NAMES = {"license", "licence", "readme", "copying", "makefile", "checksums"}
Nested = Literal["flatten", "join"] | None


class Meaning(NamedTuple):
    """What a path says about an image."""

    label: str
    split: Split | None


class Layout:
    """How the paths of one origin are laid out: `add` all of them, then `settle`."""

    def __init__(self, nested: Nested) -> None:
        self._nested = nested
        # One file for each folder of images stands for all of them.
        self._examples: dict[str, str] = {}
        self._wrappers = 0
        self._splits = False
        self._classes: set[str] = set()

    def add(self, path: str) -> None:
        folder = posixpath.dirname(path)
        if folder and folder not in self._examples and not _is_document(path):
            self._examples[folder] = path

    def settle(self) -> set[str]:
        """Return the labels of all files.

        Raises `DataRefused` where folders lie below a class and `nested` does not say what they
        mean.
        """
        folders = [folder.split("/") for folder in self._examples]
        while _one_holds_all(folders):
            folders = [folder[1:] for folder in folders]
            self._wrappers += 1
        self._splits = bool(folders) and all(_split(folder[0]) for folder in folders)
        labels = set()
        for example in self._examples.values():
            _, folders_of_class = self._parts(example)
            if not folders_of_class:
                continue
            label, *below = folders_of_class
            joined = "/".join(folders_of_class)
            if below and self._nested is None:
                raise DataRefused(
                    f"{example} lies in a folder below that of its class {label!r}: set `nested` "
                    f"of the dataset in params.yaml to flatten (its class is {label!r}) or join "
                    f"(its class is {joined!r})."
                )
            self._classes.add(label)
            labels.add(joined if self._nested == "join" else label)
        return labels

    def meaning(self, path: str) -> Meaning | Finding:
        """Return the label and split of a file, or why it has none."""
        split, folders = self._parts(path)
        if folders and folders[0] in self._classes:
            return Meaning("/".join(folders) if self._nested == "join" else folders[0], split)
        if _is_document(path):
            reason = "is no image and lies in no folder of images"
            return Finding("ignored", "not-an-image", path, reason, "leave it as it is")
        return quarantined(
            "no-class",
            path,
            "lies in no folder of a class",
            "move it into one, or give a table with labels as `from`",
        )

    def _parts(self, path: str) -> tuple[Split | None, list[str]]:
        """Return the split of a file and the folders from that of its class on."""
        folders = path.split("/")[self._wrappers : -1]
        if self._splits and folders:
            return _split(folders[0]), folders[1:]
        return None, folders


def check_labels(labels: Iterable[str]) -> None:
    """Raise `DataRefused` for labels that some file systems take for one."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
        spellings[folded].append(label)
    for same in spellings.values():
        if len(same) > 1:
            shown = " and ".join(f"{label!r} ({label!a})" for label in same)
            raise DataRefused(
                f"the classes {shown} differ in case or in how an accent is written only: rename "
                f"all of them to {same[-1]!r}."
            )


def _one_holds_all(folders: list[list[str]]) -> bool:
    """Tell whether the outermost folder is a wrapper, as archives have one, and no class."""
    outermost = {folder[0] for folder in folders}
    if len(outermost) != 1 or any(map(_split, outermost)):
        return False
    return all(len(folder) > 1 for folder in folders)


def _split(folder: str) -> Split | None:
    return SPLIT_WORDS.get(folder.casefold())


def _is_document(path: str) -> bool:
    stem, extension = posixpath.splitext(posixpath.basename(path).lower())
    return extension in _DOCUMENTS or (not extension and stem in _DOCUMENT_NAMES)
