"""Handwritten digits, 8x8 pixels in 17 grays, as they ship inside scikit-learn.

1,797 images of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998):
each pixel counts the inked ones of a 4x4 block, 0 to 16. The file is copied as it is; nothing of
scikit-learn is imported, which would take two seconds.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from convoy.errors import ConvoyError, DataRefused, UsageError
from convoy.files import write_atomically
from convoy.settings import Dataset
from convoy.sources.source import LabelledImage, Source

FILE = "digits.csv.gz"
SIDE = 8
INK = 16


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Copy the file out of the installed package, unless one lies there: that is the user's."""
    if origins:
        raise UsageError(
            f"params.yaml names {', '.join(origins)} for the source 'digits', which comes with "
            f"scikit-learn: remove `from`."
        )
    if (raw / FILE).exists():
        return
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ConvoyError(
            "scikit-learn, which ships the digits, is not installed: run `make setup`."
        )
    shipped = Path(package.origin).parent / "datasets" / "data" / FILE
    raw.mkdir(parents=True, exist_ok=True)
    write_atomically(raw / FILE, shipped.read_bytes())


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage]:
    """Yield each row's 64 pixel counts, scaled to 0..255, with its label.

    Raises `DataRefused` for anything but rows of 64 numbers in 0..16 and a digit.
    """
    path = raw / FILE
    mend = "delete the file and run again to have it copied anew"
    try:
        text = gzip.decompress(path.read_bytes()).decode("ascii")
        if not text.strip():
            raise ValueError("it is empty")
        rows = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float64, ndmin=2)
    except FileNotFoundError as error:
        raise DataRefused(f"{path} is missing: run again to have it copied anew.") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataRefused(f"{path} is not a gzipped table of numbers ({error}): {mend}.") from error
    if rows.shape[1] != SIDE * SIDE + 1:
        raise DataRefused(f"{path} has {rows.shape[1]} columns, not 64 pixels and a label: {mend}.")
    for number, row in enumerate(rows, start=1):
        pixels, label = row[:-1], row[-1]
        if not ((pixels >= 0) & (pixels <= INK)).all() or label not in range(10):
            raise DataRefused(
                f"{path}, row {number}: a pixel outside 0..{INK} or a label that is no "
                f"digit: {mend}."
            )
        image = np.round(pixels * 255 / INK).astype(np.uint8).reshape(SIDE, SIDE, 1)
        yield LabelledImage(f"{FILE}:{number}", image, str(int(label)))


SOURCE = Source(fetch=fetch, read=read)
