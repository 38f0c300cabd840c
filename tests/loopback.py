"""A web server on 127.0.0.1 that misbehaves as a test tells it to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

Behaviour = Callable[["_Handler", bytes], None]


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    range: str | None
    if_range: str | None


class Server:
    """Answers each path by its behaviours, one a request; the last one stays."""

    def __init__(self, address: str, ended: threading.Event) -> None:
        self.address, self.ended = address, ended
        self.asked: list[Asked] = []
        self.pages: dict[str, tuple[bytes, list[Behaviour]]] = {}

    def serve(self, path: str, content: bytes, *behaviours: Behaviour) -> str:
        """Serve `content` at `path`, whole unless something else is said; return the address."""
        self.pages[path] = content, list(behaviours) or [whole]
        return self.address + path

    def ranges(self) -> list[str | None]:
        return [asked.range for asked in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server until the end of the block, reached past any proxy; nothing of it stays."""
    web = _Web(("127.0.0.1", 0), _Handler)
    server = web.of = Server(f"http://127.0.0.1:{web.server_port}", threading.Event())
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("NO_PROXY", "no_proxy"):
                patch.setenv(name, "127.0.0.1")
            yield server
    finally:
        server.ended.set()
        web.shutdown()
        web.server_close()
        thread.join()


class _Web(ThreadingHTTPServer):
    daemon_threads = False
    of: Server

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    @property
    def of(self) -> Server:
        assert isinstance(self.server, _Web)
        return self.server.of

    def do_GET(self) -> None:
        server = self.of
        headers = self.headers
        server.asked.append(Asked(self.path, headers.get("Range"), headers.get("If-Range")))
        content, behaviours = server.pages.get(self.path, (b"", [status(404)]))
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        with suppress(ConnectionError, TimeoutError):
            behaviour(self, content)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def begin(self, content: bytes, *headers: tuple[str, str], ranges: bool = True) -> bytes:
        """Send the head of an answer; return the body that it promises."""
        first = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        tag = dict(headers).get("ETag")
        if first and int(first[1]) >= len(content) and ranges:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            content = b""
        elif first and ranges and self.headers.get("If-Range") in (None, tag):
            start, size = int(first[1]), len(content)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        return content


def whole(handler: _Handler, content: bytes) -> None:
    handler.wfile.write(handler.begin(content))


def tagged(tag: str) -> Behaviour:
    """All of it, known by an ETag."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        handler.wfile.write(handler.begin(content, ("ETag", tag)))

    return behaviour


def breaks_off(after: int, tag: str | None = None) -> Behaviour:
    """So many bytes, then the line is cut."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        headers = [("ETag", tag)] if tag else []
        handler.wfile.write(handler.begin(content, *headers)[:after])
        handler.close_connection = True

    return behaviour


def stalls(after: int) -> Behaviour:
    """So many bytes, then silence until the test ends."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        handler.wfile.write(handler.begin(content)[:after])
        handler.of.ended.wait(30)
        handler.close_connection = True

    return behaviour


def drips(every: float) -> Behaviour:
    """One byte at a time."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        body = handler.begin(content)
        for place in range(len(body)):
            handler.wfile.write(body[place : place + 1])
            if handler.of.ended.wait(every):
                break
        handler.close_connection = True

    return behaviour


def corrupts(place: int) -> Behaviour:
    """All of it, one byte wrong."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        wrong = bytes((content[place] ^ 0xFF,))
        whole(handler, content[:place] + wrong + content[place + 1 :])

    return behaviour


def ignores_range(handler: _Handler, content: bytes) -> None:
    handler.wfile.write(handler.begin(content, ranges=False))


def shifts_range(handler: _Handler, content: bytes) -> None:
    """Answer with a range, but not with the one that was asked for."""
    size = len(content)
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 1-{size - 1}/{size}")
    handler.send_header("Content-Length", str(size - 1))
    handler.end_headers()
    handler.wfile.write(content[1:])


def endless(handler: _Handler, content: bytes) -> None:
    """The content, then anything, without saying how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(content)
    while not handler.of.ended.is_set():
        handler.wfile.write(bytes(2**16))


def unannounced(after: int) -> Behaviour:
    """So many bytes without saying how many, as old servers do."""

    def behaviour(handler: _Handler, content: bytes) -> None:
        first = re.match(r"bytes=(\d+)-$", handler.headers.get("Range", ""))
        start, size = int(first[1]) if first else 0, len(content)
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content[start : start + after])

    return behaviour


def status(code: int) -> Behaviour:
    def behaviour(handler: _Handler, content: bytes) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behaviour


def redirects(to: str) -> Behaviour:
    def behaviour(handler: _Handler, content: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Connection", "close")
        handler.end_headers()
        while not handler.of.ended.is_set():  # a body that nobody should read
            handler.wfile.write(bytes(2**16))

    return behaviour
