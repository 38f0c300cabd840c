"""Downloads that a broken line only delays, and that no wrong byte comes through.

A download goes on where it stopped (RFC 9110, section 14), in this process or in the next one. Its
file appears whole and verified, or not at all.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from convoy.errors import ConvoyError
from convoy.files import read_json, write_json
from convoy.progress import Download, Meter
from convoy.published import File, publish

if TYPE_CHECKING:
    import httpx

REDIRECTS = 10
SLOWEST = 1000
"""Bytes a second below which a server counts as one that has stopped."""


class Patience(NamedTuple):
    """How long a download waits, and for what. Times are in seconds."""

    attempts: int = 5
    """Those in a row that bring hardly anything, at each address."""
    pause: float = 1.0
    """Before the second attempt; each further one waits twice as long."""
    longest: float = 30.0
    connect: float = 10.0
    stall: float = 30.0
    """Without bytes, or with hardly any."""


PATIENCE = Patience()


class _Failed(Exception):
    """An address does not give the file."""


class _Broken(_Failed):
    """An attempt failed, but another one may succeed."""


def download(
    file: File,
    addresses: Sequence[str],
    target: Path,
    memory: Path,
    patience: Patience = PATIENCE,
    step: str = "ingest",
) -> None:
    """Download `file` to `target` from the first of `addresses` (http, https) that gives it.

    What has come so far is kept in the folder `memory`. Progress is reported as that of `step`.
    Raises `ConvoyError` where no address gives the file, the disk does not take it, or another
    process is at it.
    """
    import httpx

    client = httpx.Client(
        headers={"User-Agent": "convoy", "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(patience.stall, connect=patience.connect),
    )
    failures = []
    try:
        memory.mkdir(parents=True, exist_ok=True)
        with client, FileLock(memory / f"{file.name}.lock", timeout=0):
            part = _Part(memory, file.name)
            for address in addresses:
                try:
                    _Visit(client, address, file, part, patience, step).complete()
                except _Failed as failure:
                    failures.append(f"{_shown(address)}: {failure}")
                else:
                    publish(part.path, target)
                    part.drop()
                    return
    except Timeout:
        raise ConvoyError(
            f"another process is downloading {file.name} to {memory}: wait for it, then run again."
        ) from None
    except OSError as error:
        raise ConvoyError(
            f"{file.name} cannot be written to {memory} ({error.strerror or error}): free space or "
            f"give the right to write there, then run again; the download goes on where it stopped."
        ) from error
    raise ConvoyError(
        f"{file.name} could not be downloaded ({'; '.join(failures)}): run again later, give a "
        f"folder that holds the file with `from`, or a mirror with CONVOY_MIRROR."
    )


class _Part:
    """What has come of a file, and what one must know to go on with it."""

    def __init__(self, memory: Path, name: str) -> None:
        self.path = memory / f"{name}.part"
        self.note = memory / f"{name}.part.json"
        known = read_json(self.note)
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}
        if not self.known:
            self.drop()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, address: str, size: int | None, validator: str | None) -> None:
        self.path.write_bytes(b"")
        self.known = {"address": address, "size": size, "validator": validator}
        write_json(self.note, self.known)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.known = {}


@dataclass
class _Visit:
    """The attempts at one address to bring a part to its end."""

    client: "httpx.Client"
    address: str
    file: File
    part: _Part
    patience: Patience
    step: str
    began_here: bool = False

    def complete(self) -> None:
        """Leave the whole file in the part, verified. Raises `_Failed`."""
        furthest, idle = self.part.size, 0
        while True:
            try:
                self._attempt()
                fault = self.file.fault(self.part.path)
                if fault is None:
                    return
                self.part.drop()
                if self.began_here:
                    raise _Failed(f"gave {fault}")
                failure = f"went on with a part that had {fault}"
            except _Broken as error:
                failure = str(error)
            # Who gets on by a hundredth comes to an end; who begins anew each time may not.
            known = self.part.known.get("size") or self.file.largest
            gained = self.part.size > furthest + known // 100
            furthest, idle = max(furthest, self.part.size), 0 if gained else idle + 1
            if idle >= self.patience.attempts:
                raise _Failed(failure)
            pause = self.patience.pause * 2 ** max(0, idle - 1)
            time.sleep(min(pause, self.patience.longest))

    def _attempt(self) -> None:
        import httpx

        try:
            if self.part.size == 0 or self.part.size != self.part.known["size"]:
                self._ask_for_the_rest()
        except httpx.ConnectTimeout:
            raise _Broken(f"no connection within {self.patience.connect:g} s") from None
        except httpx.TimeoutException:
            raise _Broken(f"no bytes for {self.patience.stall:g} s") from None
        except httpx.HTTPError as error:
            raise _Broken(str(error) or type(error).__name__) from None
        except httpx.InvalidURL as error:
            raise _Failed(str(error)) from None

    def _ask_for_the_rest(self) -> None:
        asked = {}
        if self.part.size:
            asked["Range"] = f"bytes={self.part.size}-"
            if self.part.known["address"] == self.address and self.part.known["validator"]:
                asked["If-Range"] = self.part.known["validator"]
        with self._answer(asked) as response:
            size = _announced(response)
            if size is not None and (fault := self.file.size_fault(size)):
                raise _Failed(f"offers {fault}")
            if response.status_code == 200:  # The first time, or the server knows no ranges.
                self.part.begin(self.address, size or self.file.size, _validator(response))
                self.began_here = True
            elif not _continues(response, self.part, size):
                self.part.drop()
                raise _Broken("gave another range than the one that was asked for")
            self._receive(response)

    @contextmanager
    def _answer(self, asked: dict[str, str]) -> Iterator["httpx.Response"]:
        """Yield the answer that holds what was asked for, before its body."""
        request = self.client.build_request("GET", self.address, headers=asked)
        for _ in range(REDIRECTS):
            # httpx follows redirects too, but reads their bodies, however long.
            response = self.client.send(request, stream=True)
            try:
                status = response.status_code
                if status in (200, 206, 416):
                    yield response
                    return
                if response.next_request is None:
                    passing = status in (408, 425, 429) or status >= 500
                    raise (_Broken if passing else _Failed)(f"{status} {response.reason_phrase}")
                request = response.next_request
            finally:
                response.close()
        raise _Failed(f"{REDIRECTS} redirects, one after another")

    def _receive(self, response: "httpx.Response") -> None:
        """Add the body to the part."""
        done, size = self.part.size, self.part.known["size"]
        most = size or self.file.largest
        watch = _Watch(Download(self.step, self.file.name, done, size), self.patience.stall)
        with self.part.path.open("ab") as stream:
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > most:
                    break
                stream.write(chunk)
                watch.saw(done)
        if done > most:
            self.part.drop()
            raise _Failed(f"sends more than {most:,} bytes")
        if size and done < size:
            raise _Broken(f"broke off after {done:,} of {size:,} bytes")


class _Watch:
    """Tells how a download goes, and ends one that hardly does."""

    def __init__(self, begun: Download, stall: float) -> None:
        self.meter, self.stall = Meter(begun), stall
        self.since, self.mark = time.monotonic(), begun.done_bytes

    def saw(self, done: int) -> None:
        self.meter.saw(done)
        now = time.monotonic()
        if now - self.since > self.stall:
            if done - self.mark < SLOWEST * self.stall:
                raise _Broken(f"less than {SLOWEST:,} bytes a second for {self.stall:g} s")
            self.since, self.mark = now, done


def _announced(response: "httpx.Response") -> int | None:
    """Return the bytes of the whole file, as the server has it."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
    else:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


def _continues(response: "httpx.Response", part: _Part, size: int | None) -> bool:
    """Tell whether the body goes on where the part ends, in a file of the same size."""
    first = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    here = first is not None and int(first[1]) == part.size > 0
    return here and response.status_code == 206 and size == part.known["size"]


def _validator(response: "httpx.Response") -> str | None:
    """Return what the server knows these bytes by; a weak ETag promises no more than a likeness."""
    tag: str = response.headers.get("ETag", "")
    modified: str | None = response.headers.get("Last-Modified")
    return tag if tag and not tag.startswith("W/") else modified


def _shown(address: str) -> str:
    """Return an address without the password that it may hold."""
    return re.sub(r"//[^/@]*@", "//", address)
