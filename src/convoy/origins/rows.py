"""The rows of a table, CSV or Parquet: which columns mean what, whatever they are called."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from convoy.errors import ConvoyError, DataRefused, nearest

COLUMNS = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "target"),
    "split": ("split",),
    "group": ("group",),
}
"""What a column may be called, in any case; the first that is there counts."""
_NEEDED = ("path", "label")
_DELIMITERS = ",;\t|"
_PARQUET = b"PAR1"
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """One row; empty texts where the table says nothing."""

    number: int
    """As a spreadsheet counts: the row below the header is 2."""
    path: str
    label: str
    split: str
    group: str
    wrong: str = ""
    """What is wrong with the row itself; the rest says nothing then."""


def is_table(head: bytes, name: str) -> bool:
    """Tell by its first bytes and its name whether a file is a table.

    Text of another name is one where its first line holds several cells.
    """
    if head.startswith(_PARQUET) or name.lower().endswith((".csv", ".tsv")):
        return True
    first = head.lstrip(b"\xef\xbb\xbf").partition(b"\n")[0]
    return not _BINARY.search(head) and any(mark.encode() in first for mark in _DELIMITERS)


def rows(content: bytes, table: str) -> Iterator[Row]:
    """Yield the rows of a table's bytes. Raises `DataRefused`; `table` is its name in messages."""
    read = _parquet if content.startswith(_PARQUET) else _csv
    number = 1
    for number, cells in read(content, table):
        if isinstance(cells, str):
            yield Row(number, "", "", "", "", cells)
        else:
            yield Row(number, *map(_text, cells))
    if number == 1:
        raise DataRefused(
            f"{table} has no rows: write one for each image, with its path and label."
        )


def _csv(content: bytes, table: str) -> Iterator[tuple[int, Sequence[Any] | str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = "UTF-16" if content.startswith(_UTF16) else "not UTF-8"
        raise DataRefused(
            f"{table} is {found} (byte {error.start}): save it as CSV in UTF-8."
        ) from error
    if not text.strip():
        raise DataRefused(f"{table} is empty: write a header and a row for each image.")
    header, delimiter = _header(text)
    columns = _columns(header, table)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for cells in reader:
            if not cells:
                continue
            if len(cells) > len(header):
                yield reader.line_num, f"{len(cells)} cells for {len(header)} columns"
                continue
            cells += [""] * (len(header) - len(cells))
            yield reader.line_num, [cells[at] if at is not None else "" for at in columns]
    except csv.Error as error:
        raise DataRefused(f"{table}, row {reader.line_num}: {error}: mend the row.") from error


def _header(text: str) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter: the one that finds the most of them."""
    first = text.lstrip("\r\n").splitlines()[0]
    known = {name for several in COLUMNS.values() for name in several}

    def split(delimiter: str) -> list[str]:
        return [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]

    def quality(delimiter: str) -> tuple[int, int]:
        header = split(delimiter)
        return len(known.intersection(map(str.lower, header))), len(header)

    delimiter = max(_DELIMITERS, key=quality)
    return split(delimiter), delimiter


def _columns(header: Sequence[str], table: str) -> list[int | None]:
    """Return where the columns of `COLUMNS` are; None for one that is not there."""
    lower = [name.lower() for name in header]
    found = []
    for meaning, called in COLUMNS.items():
        there = [lower.index(name) for name in called if name in lower]
        if not there and meaning in _NEEDED:
            raise DataRefused(
                f"{table} has no column {meaning!r} ({', '.join(called)}); it has "
                f"{', '.join(map(repr, header))}: {nearest(meaning, header)}"
            )
        found.append(there[0] if there else None)
    return found


def _parquet(content: bytes, table: str) -> Iterator[tuple[int, Sequence[Any] | str]]:
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise ConvoyError(
            f"reading {table} needs pyarrow, not installed here: pip install pyarrow."
        ) from error
    try:
        file = parquet.ParquetFile(arrow.BufferReader(content))
        header = file.schema_arrow.names
        columns = _columns(header, table)
        wanted = [header[at] for at in columns if at is not None]
        for name in wanted:
            kind = file.schema_arrow.field(name).type
            if arrow.types.is_nested(kind) or arrow.types.is_binary(kind):
                raise DataRefused(
                    f"{table}: its column {name!r} holds {kind}, not texts: write the paths of "
                    f"files there."
                )
        number = 1
        for batch in file.iter_batches(columns=wanted):
            values = {name: batch.column(name).to_pylist() for name in wanted}
            nothing = [None] * batch.num_rows
            cells = [values[header[at]] if at is not None else nothing for at in columns]
            for row in zip(*cells, strict=True):
                number += 1
                yield number, row
    except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())
        raise DataRefused(f"{table} is damaged ({why}): write the table anew.") from error


def _text(cell: Any) -> str:
    """Return a cell as text: empty for what pandas and Parquet mean by missing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # pandas makes floats of whole numbers once one of a column is missing.
    text = str(cell).strip()
    return "" if text.lower() == "nan" else text
