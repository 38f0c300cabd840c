"""Archives for tests, of honest members and of others."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

MODES = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}
KINDS = ("zip", *MODES)


def pack(path: Path, members: Mapping[str, bytes], kind: str) -> Path:
    """Write an archive of `members` (its bytes by name, `None` for none) to `path`."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, MODES[kind]) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            add(tar, name, content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **header: object) -> None:
    """Add a member, whatever its header says."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in header.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))
