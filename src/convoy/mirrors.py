"""The places that hold a published dataset: those that a person names, else its official mirrors.

`from` of params.yaml comes first: folders of this machine and addresses of folders. Else the
environment variable CONVOY_MIRROR names one such place, which holds each file below the name of its
source (`mnist/train-images-idx3-ubyte.gz`) or right there. Else the mirrors are those that the
source knows.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from convoy import digests
from convoy.downloads import PATIENCE, Patience, download
from convoy.errors import ConvoyError, DataRefused
from convoy.published import CHUNK, File, publish


def fetch(
    files: Sequence[File],
    mirrors: Sequence[str],
    source: str,
    origins: tuple[str, ...],
    raw: Path,
    memory: Path,
    patience: Patience = PATIENCE,
) -> None:
    """Have each of `files` in the folder `raw`, verified: kept, copied or downloaded.

    Raises `DataRefused` for places that are none, that lack a file or hold another one under its
    name; and `ConvoyError` where downloading or writing fails.
    """
    raw.mkdir(parents=True, exist_ok=True)
    wanted = [file for file in files if not _kept(file, raw / file.name)]
    places = list(origins or _named_mirror(source) or mirrors)
    originals = {file: find(places, file.name) for file in wanted}
    addresses = [place for place in places if is_address(place)]
    if not addresses and (lacking := [file.name for file in wanted if not originals[file]]):
        raise DataRefused(
            f"{' and '.join(places)} lacks {', '.join(lacking)}: put what is missing there, or "
            f"name the folder that holds it {'with `from`' if origins else 'in CONVOY_MIRROR'}."
        )
    for file, original in originals.items():
        if original:
            copy(original, raw / file.name, memory, file)
        else:
            download(
                file,
                [_below(address, file.name) for address in addresses],
                raw / file.name,
                memory,
                patience,
            )


def is_address(place: str) -> bool:
    """Tell an http(s) address from a path. Raises `DataRefused` for any other kind of address."""
    scheme, separator, _ = place.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise DataRefused(
            f"{place} is neither a folder nor an http(s) address: copy the files to a folder and "
            f"name that."
        )
    return bool(separator)


def find(places: Iterable[str], name: str) -> Path | None:
    """Return the file `name` in the first of the folders among `places` that holds it.

    A place may be the file itself, too. Raises `DataRefused` for a path where nothing is.
    """
    for place in places:
        if is_address(place):
            continue
        path = Path(place)
        try:
            if not path.exists():
                raise DataRefused(f"{path} does not exist: correct the path, or mount its disk.")
            found = path if path.is_file() and path.name == name else path / name
            if found.is_file():
                return found
        except OSError as error:
            raise DataRefused(
                f"cannot look into {path} ({error.strerror}): allow reading it."
            ) from error
    return None


def copy(original: Path, target: Path, memory: Path, file: File | None = None) -> None:
    """Copy `original` to `target`, which appears whole and verified, or not at all.

    Raises `DataRefused` for an original that is not `file`, cannot be read, or changes meanwhile.
    """
    file = file or File(target.name)
    mend = f"replace it by the published {file.name}"
    try:
        stream = original.open("rb")
    except OSError as error:
        raise DataRefused(f"cannot read {original} ({error.strerror}): allow reading it.") from None
    draft = memory / f"{target.name}.copy"
    try:
        with stream:
            before = os.fstat(stream.fileno())
            if fault := file.size_fault(before.st_size):
                raise DataRefused(f"{original} has {fault}: {mend}.")
            memory.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as drafted:
                shutil.copyfileobj(stream, drafted, CHUNK)
            after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataRefused(f"{original} changed while it was copied: run again when it is done.")
        if fault := file.fault(draft):
            raise DataRefused(f"{original} has {fault}: {mend}.")
        publish(draft, target)
    except OSError as error:
        raise ConvoyError(
            f"{original} cannot be copied to {target.parent} ({error.strerror}): free space or "
            f"give the right to write there, then run again."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def bring(original: Path, target: Path, memory: Path) -> None:
    """Copy a file that nobody has said the checksum of, unless `target` has the same bytes.

    Raises what `copy` does.
    """
    try:
        same = target.exists() and digests.file(original) == digests.file(target)
    except OSError:
        same = False  # Copying will say why.
    if not same:
        copy(original, target, memory)


def _below(address: str, name: str) -> str:
    """Return the address of a file; a place may be the file itself."""
    return address if address.endswith(f"/{name}") else f"{address.rstrip('/')}/{name}"


def _kept(file: File, path: Path) -> bool:
    return path.is_file() and file.fault(path) is None


def _named_mirror(source: str) -> list[str]:
    mirror = os.environ.get("CONVOY_MIRROR", "").rstrip("/")
    if not mirror:
        return []
    below = f"{mirror}/{source}"
    return [below, mirror] if is_address(mirror) or Path(below).is_dir() else [mirror]
