"""Published weights as a file that is known by its sha256: one of this machine, or a download.

`convoy.architectures.weights` puts the file into a network.
"""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from convoy import digests
from convoy.downloads import PATIENCE, Patience, download
from convoy.errors import DataRefused, NotReproducible, UsageError
from convoy.mirrors import is_address
from convoy.project import Project
from convoy.published import File
from convoy.recipe import Recipe


def of(recipe: Recipe, project: Project) -> str | None:
    """Bring the published weights that a recipe starts from; return the file, if there are any."""
    if recipe.weights is None:
        return None
    (place,) = project.origins((recipe.weights.origin,))
    return str(bring(place, recipe.weights.sha256, project.state / "weights"))


def bring(place: str, sha256: str, memory: Path, patience: Patience = PATIENCE) -> Path:
    """Return a file with the bytes that `sha256` tells, at `place`: a path or an http(s) address.

    A download is kept below the folder `memory`, and comes once. Raises `UsageError` for a place
    where no file is, `NotReproducible` for other bytes, and `ConvoyError` where downloading fails.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise UsageError(
            f"{place}: {sha256!r} is no sha256: write its 64 digits, as `sha256sum` prints them."
        )
    try:
        remote = is_address(place)
    except DataRefused:  # its sentence is about folders of images
        raise UsageError(
            f"{place} is neither a file nor an http(s) address: copy the weights to a file and "
            f"name that."
        ) from None
    return _download(place, sha256, memory, patience) if remote else _local(place, sha256)


def _local(place: str, sha256: str) -> Path:
    path = Path(place).expanduser()
    if not path.is_file():
        raise UsageError(f"{path} is not there: correct the path of the weights.")
    try:
        return _verified(path, sha256, place)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): allow reading it.") from None


def _download(address: str, sha256: str, memory: Path, patience: Patience) -> Path:
    name = PurePosixPath(urlsplit(address).path).name or "weights"
    target = memory / sha256[:16] / name
    if target.is_file() and digests.file(target) == sha256:
        return target
    draft = target.with_name(f"{name}.unverified")
    download(File(name), [address], draft, target.parent, patience, step="weights")
    try:
        return _verified(draft, sha256, address).replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _verified(path: Path, sha256: str, place: str) -> Path:
    found = digests.file(path)
    if found != sha256:
        raise NotReproducible(
            f"{place} has the sha256 {found[:16]}... instead of {sha256[:16]}...: bring the file "
            f"that was meant, or write the sha256 of this one."
        )
    return path
