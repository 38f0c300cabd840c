"""Which files a dataset consists of: rows beside the packs that hold their bytes, and an index.

`rows/<id>.csv` lists the files whose bytes lie in one pack, named by a digest of its own bytes, and
`index.json` says which rows belong to which pack, and what was left out and why. Only the index is
ever replaced, and last: so a dataset changes as a whole, a crash leaves it as it was, and one that
grows by a hundredth is written anew by a hundredth.
"""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from convoy.errors import DataRefused
from convoy.files import read_json, write_atomically, write_json
from convoy.findings import Finding
from convoy.origins.origin import File
from convoy.packs import Place, written

INDEX = "index.json"
_COLUMNS = ("origin", "path", "label", "split", "group", "sha256", "size", "offset")


class Listed(NamedTuple):
    """A file of the dataset and where its bytes lie."""

    file: File
    place: Place


def write(
    raw: Path, files: Iterable[File], places: Mapping[bytes, Place], findings: Iterable[Finding]
) -> None:
    """Make `files` and `findings` what the folder `raw` holds. Raises `ConvoyError`."""
    lines: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for file in files:
        place = places[file.digest]
        lines[place.pack].append((place.offset, *file))
    index: dict[str, str] = {}
    with written(raw):
        (raw / "rows").mkdir(exist_ok=True)
        for pack, rows in sorted(lines.items()):
            content = _encoded(sorted(rows))
            name = hashlib.sha256(content).hexdigest()[:16]
            path = raw / "rows" / f"{name}.csv"
            if not path.exists() or path.read_bytes() != content:
                write_atomically(path, content)
            index[pack] = name
        held = {"packs": index, "findings": [finding.to_json() for finding in findings]}
        if read_json(raw / INDEX) != held:
            write_json(raw / INDEX, held)


def remove_others(raw: Path) -> None:
    """Delete the rows that the index does not name, and drafts of a process that was killed."""
    named = set(_index(raw)["packs"].values())
    others = [path for path in (raw / "rows").iterdir() if path.stem not in named]
    for path in (*others, *raw.glob(f".{INDEX}.*")):
        path.unlink()


def read(raw: Path) -> Iterator[Listed]:
    """Yield the files of the dataset as their bytes lie on the disk, pack by pack.

    Raises `DataRefused` for an index or rows that are missing or damaged.
    """
    for pack, name in sorted(_index(raw)["packs"].items()):
        path = raw / "rows" / f"{name}.csv"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataRefused(f"cannot read {path} ({error.strerror}): {_mend(raw)}.") from error
        if hashlib.sha256(content).hexdigest()[:16] != name:
            raise DataRefused(f"{path} is damaged: {_mend(raw)}.")
        # Decoded a few lines at a time: `StringIO` holds four bytes a character of the whole.
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
        next(rows)
        for origin, file, label, split, group, digest, size, offset in rows:
            listed = File(origin, file, bytes.fromhex(digest), int(size), label, split, group)
            yield Listed(listed, Place(pack, int(offset), listed.size))


def findings(raw: Path) -> Iterator[Finding]:
    """Yield what was left out when the dataset was brought."""
    for finding in _index(raw)["findings"]:
        yield Finding(**{**finding, "others": tuple(finding["others"])})


def _encoded(rows: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(
        (origin, path, label, split, group, digest.hex(), size, offset)
        for offset, origin, path, digest, size, label, split, group in rows
    )
    return text.getvalue().encode()


def _index(raw: Path) -> Any:
    path = raw / INDEX
    index = read_json(path)
    if index is None:
        what = f"is damaged: {_mend(raw)}" if path.exists() else "is missing: run again to bring it"
        raise DataRefused(f"{path} {what}.")
    return index


def _mend(raw: Path) -> str:
    return f"delete {raw / INDEX} and run again to have the dataset brought anew"
