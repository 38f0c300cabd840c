"""Files of S3 buckets and web servers, through fsspec, which is imported on first use.

Where S3 is, and with which keys, comes from the environment variables that boto3 reads
(`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and so on).
"""

import io
import posixpath
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from convoy import progress
from convoy.errors import ConvoyError, DataRefused
from convoy.findings import Finding
from convoy.origins import names
from convoy.origins.origin import LARGEST, Item, too_large
from convoy.packs import FULL_DISK

SCHEMES = ("s3", "https")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_S3 = {
    "use_listings_cache": False,
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "max_pool_connections": 32},
}
_PAUSES = (1, 4)
"""Seconds to wait before one file is asked for again: thousands of others came already."""


class TooLarge(OSError):
    """A file that goes on beyond `LARGEST`."""


def is_remote(origin: str) -> bool:
    """Tell whether an origin is an address. Raises `DataRefused` for one that nothing can read."""
    if "://" not in origin:
        return False
    if problem := fault(origin):
        raise DataRefused(f"{origin} in `from` of params.yaml {problem}.")
    return True


def fault(address: str) -> str | None:
    """Return why nothing can read an address, with the mend; None if something can."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        return f"is no address ({error}): mend it"
    if not parts.netloc:
        return "names no bucket and no server: mend it"
    if parts.scheme in SCHEMES or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return None
    known = " and ".join(f"{scheme}://" for scheme in SCHEMES)
    return f"begins with {parts.scheme}://, but only {known} are read: put the files there"


def join(folder: str, path: str) -> str:
    """Return the address of a file below an address; `path` is a name, nothing in it is quoted."""
    # A `%` may be the quoting of somebody who thinks in addresses.
    return f"{folder}/{path if folder.startswith('s3:') else quote(path, safe='/%')}"


class Service:
    """What answers at an address; any thread may use it.

    Its methods raise `FileNotFoundError` or `PermissionError` for one address, and `ConvoyError`
    where nobody answers.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec  # type: ignore[import-untyped]

            options = {"skip_instance_cache": True, **(_S3 if _is_s3(address) else {})}
            self._files: Any = fsspec.filesystem(urlsplit(address).scheme, **options)
        except ImportError as error:
            needed = "s3fs" if _is_s3(address) else "fsspec and aiohttp"
            raise ConvoyError(
                f"reading {address} needs {needed}, not installed here: pip install {needed}."
            ) from error

    def is_folder(self, address: str) -> bool:
        """Tell whether files lie below an address; a web server cannot say."""
        return _is_s3(address) and self._info(address)["type"] == "directory"

    def item(self, path: str, address: str) -> Item:
        """Return one file, not read yet."""
        return self._item(path, address, self._info(address))

    def listing(self, address: str) -> Iterator[Item | Finding]:
        """Yield the files below an address of S3, in the order of their names."""
        with _answering(address):
            found = self._files.find(address, detail=True)
        prefix = urlsplit(address).netloc + urlsplit(address).path
        hidden: Counter[str] = Counter()
        for key, info in sorted(found.items()):
            path = key.removeprefix(prefix).strip("/")
            folder = names.hidden_folder(posixpath.dirname(path))
            if info["type"] != "file" or key.endswith("/"):
                continue
            if folder:
                hidden[folder] += 1
            elif names.is_hidden(posixpath.basename(path)):
                yield names.hidden(path)
            elif problem := names.bad_name(path):
                yield problem
            elif info["size"] > LARGEST:
                yield too_large(path, info["size"])
            else:
                yield self._item(path, f"s3://{key}", info)
        for folder, count in hidden.items():
            yield names.hidden(folder, count)

    def head(self, address: str, count: int) -> bytes:
        """Return the first bytes of a file."""
        with _answering(address):
            if _is_s3(address):
                content: bytes = self._files.cat_file(address, start=0, end=count)
                return content
            # Without a block size, the bytes stream and nothing after them is sent.
            with self._files.open(address, block_size=0) as stream:
                first: bytes = stream.read(count)
                return first

    def read(self, address: str) -> bytes:
        """Return the bytes of a file."""
        with _answering(address):
            if _is_s3(address):
                content: bytes = self._files.cat_file(address)
                return content
            sink = _Sink()
            self._files.get_file(address, sink)
            return sink.getvalue()

    def copy(self, address: str, stream: BinaryIO) -> None:
        """Write the bytes of a file to a stream, however many there are, and report them."""
        size: int | None = self._info(address).get("size")
        target = _Reported(stream, posixpath.basename(urlsplit(address).path), size)
        with _answering(address):
            if not _is_s3(address):
                self._files.get_file(address, target)
                return
            with self._files.open(address, block_size=2**23, cache_type="readahead") as source:
                while content := source.read(2**23):
                    target.write(content)

    def _info(self, address: str) -> dict[str, Any]:
        with _answering(address):
            info: dict[str, Any] = self._files.info(address)
            return info

    def _item(self, path: str, address: str, info: dict[str, Any]) -> Item:
        said = info.get("ETag") or info.get("LastModified") or info.get("Last-Modified") or ""
        size = info.get("size") or 0
        stamp = f"{size}:{said}" if said or size else ""
        return Item(path, size, stamp, partial(self._read_item, address, stamp), late=True)

    def _read_item(self, address: str, stamp: str) -> tuple[bytes, str]:
        for pause in _PAUSES:
            try:
                return self.read(address), stamp
            except ConvoyError:
                time.sleep(pause)
        return self.read(address), stamp


class _Reported(io.BufferedIOBase):
    """A stream that tells how much was written."""

    def __init__(self, stream: BinaryIO, name: str, size: int | None) -> None:
        self._stream, self._done = stream, 0
        self._meter = progress.Meter(progress.Download("ingest", name, 0, size))

    def write(self, content: Any) -> int:
        self._done += len(content)
        self._meter.saw(self._done)
        return self._stream.write(content)


class _Sink(io.BytesIO):
    def write(self, content: Any) -> int:
        if self.tell() + len(content) > LARGEST:
            raise TooLarge
        return super().write(content)


def _is_s3(address: str) -> bool:
    return address.startswith("s3:")


@contextmanager
def _answering(address: str) -> Iterator[None]:
    """Turn what the clients raise into what `Service` promises."""
    try:
        yield
    except (PermissionError, TooLarge):
        raise
    except _failures(address) as error:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            raise
        # fsspec says "not found" of a web server whatever became of it, and why in the cause.
        missing = isinstance(error, FileNotFoundError)
        cause = error.__cause__ if missing and error.__cause__ and not _is_s3(address) else error
        status = getattr(cause, "status", None)
        if status in (404, 410) or (missing and cause is error):
            raise FileNotFoundError(address) from error
        if status in (401, 403):
            raise PermissionError(address) from error
        raise ConvoyError(
            f"cannot reach {address} ({str(cause) or type(cause).__name__}): check the line and "
            f"the service, and run again."
        ) from error


def _failures(address: str) -> tuple[type[Exception], ...]:
    if _is_s3(address):
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
        )

        return (OSError, BotoCoreError, ClientError)
    from aiohttp import ClientError as WebError

    return (OSError, WebError, ValueError)
