"""Names of files: which are no part of a dataset, and which would do harm on another system."""

import re
from functools import lru_cache

from convoy.findings import Finding
from convoy.origins.origin import quarantined

_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"}
# Surrogates are how Python shows bytes that are not UTF-8.
_HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 255
"""The bytes of a name that file systems take."""


def is_hidden(name: str) -> bool:
    """Tell whether a system or a program left this file or folder there for itself."""
    return name[:1] == "." or name.lower() in _SYSTEM


@lru_cache(maxsize=4096)
def hidden_folder(folder: str) -> str | None:
    """Return the outermost hidden folder of a path `a/b/c`; None if it has none."""
    parts = folder.split("/")
    for depth, part in enumerate(parts, start=1):
        if part and is_hidden(part):
            return "/".join(parts[:depth])
    return None


def hidden(path: str, files: int | None = None) -> Finding:
    """Return the finding about a hidden file, or about a hidden folder of so many files."""
    what = "file" if files is None else f"folder of {files} {'file' if files == 1 else 'files'}"
    reason = f"a hidden or system {what}, no part of the dataset"
    return Finding("ignored", "hidden", printable(path), reason, "leave it as it is")


def empty_folder(path: str) -> Finding:
    reason, mend = "a folder without a file", "put its images there, or remove it"
    return Finding("warning", "empty-class", printable(path), reason, mend)


def printable(path: str) -> str:
    """Return a path as people can read it: what is not printable as `\\xNN`."""

    def escaped(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code:02x}"

    return _HARMFUL.sub(escaped, path)


def bad_name(path: str) -> Finding | None:
    """Return what is wrong with a path's characters; None if nothing is."""
    harmful = _HARMFUL.search(path)
    if harmful:
        undecodable = "\ud800" <= harmful[0] <= "\udfff"
        reason = "is not UTF-8" if undecodable else "holds a control character"
    elif len(path) * 4 > _LONGEST and any(
        len(part.encode()) > _LONGEST for part in path.split("/")
    ):
        reason = f"is longer than {_LONGEST} bytes"
    else:
        return None
    return quarantined("bad-name", printable(path), f"its name {reason}", "rename the file")
