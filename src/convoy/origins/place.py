"""One origin as it is found: what kind it is, what it lists, and how it is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Literal

from convoy.errors import DataRefused
from convoy.findings import Finding
from convoy.origins import archive, folder, local, remote, rows, table
from convoy.origins.bringing import THREADS
from convoy.origins.origin import LARGEST, Item
from convoy.packs import FULL_DISK, written

_UNREAD = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}


class Place:
    """An origin of `from` in params.yaml: an absolute path or an address.

    Raises `DataRefused` for one that is not there or that nothing can read, and `ConvoyError` where
    nobody answers.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._service = remote.Service(origin) if remote.is_remote(origin) else None
        with self._there():
            self.kind = self._kind()

    def listing(self) -> Iterator[Item | Finding]:
        """Yield the files of a folder or a table, not read yet."""
        if self.kind == "table":
            content = self._content()
            yield from table.listing(self._origin, rows.rows(content, self._origin), THREADS)
        elif self._service:
            yield from self._service.listing(self._origin)
        else:
            yield from folder.listing(self._origin)

    def stamp(self, sure: bool = False) -> str:
        """Return a text that changes when an archive does; `sure`: empty where it might not."""
        with self._there():
            if self._service:
                return self._service.item("", self._origin).stamp
            status = Path(self._origin).stat()
            return local.sure_stamp(status) if sure else local.stamp(status)

    @contextmanager
    def opened(self, scratch: Path) -> Iterator[str]:
        """Give the path of an archive; one from elsewhere lies at `scratch` meanwhile."""
        if not self._service:
            yield self._origin
            return
        try:
            with written(scratch.parent), self._there():
                scratch.parent.mkdir(parents=True, exist_ok=True)
                with scratch.open("wb") as copy:
                    self._service.copy(self._origin, copy)
            yield str(scratch)
        finally:
            scratch.unlink(missing_ok=True)

    def _kind(self) -> Literal["folder", "archive", "table"]:
        if self._service and self._service.is_folder(self._origin):
            return "folder"
        if not self._service:
            mode = Path(self._origin).stat().st_mode
            if S_ISDIR(mode):
                return "folder"
            if not S_ISREG(mode):
                raise DataRefused(f"{self._origin} is neither a folder nor a file: mend `from`.")
        head = self._head()
        if archive.is_archive(head):
            return "archive"
        if rows.is_table(head, self._origin):
            return "table"
        unread = next((name for magic, name in _UNREAD.items() if head.startswith(magic)), "")
        what = f"a {unread} archive" if unread else "no folder, zip, tar, CSV or Parquet file"
        mend = "unpack it" if unread else "name the folder that it lies in"
        raise DataRefused(f"{self._origin} is {what}: {mend} in `from` of params.yaml.")

    def _head(self) -> bytes:
        if self._service:
            return self._service.head(self._origin, archive.HEAD)
        with Path(self._origin).open("rb") as stream:
            return stream.read(archive.HEAD)

    def _content(self) -> bytes:
        with self._there():
            if self._service:
                return self._service.read(self._origin)
            if Path(self._origin).stat().st_size > LARGEST:
                raise DataRefused(f"{self._origin} is larger than {LARGEST:,} bytes: split it.")
            return local.read(self._origin)[0]

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise DataRefused(
                f"there is no {self._origin}: mend `from` in params.yaml, or mount its disk."
            ) from error
        except PermissionError as error:
            raise DataRefused(f"{self._origin} may not be read: allow it.") from error
        except local.ChangesWhileReading as error:
            raise DataRefused(
                f"{self._origin} changes while it is read: run again when it is done."
            ) from error
        except OSError as error:
            if error.errno in FULL_DISK:
                raise
            raise DataRefused(
                f"{self._origin} cannot be read ({error.strerror or type(error).__name__}): check "
                f"its disk."
            ) from error
