"""Signed HTTP calls: `POST /triggers/NAME`, from whoever knows the secret.

The signature is that of our own webhook (`convoy.webhook`): the HMAC-SHA256 of the time, a dot and
the body. A call that is old, was altered, or came before is refused. One that was accepted is on
the disk before it is answered, so that none is lost.
"""

import hmac
import json
import os
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from convoy.errors import UsageError
from convoy.files import read_json, write_json
from convoy.webhook import signature

SECRET, HOST, PORT = "CONVOY_TRIGGER_SECRET", "CONVOY_TRIGGER_HOST", "CONVOY_TRIGGER_PORT"
LARGEST = 64 * 2**10
"""Bytes of a body."""
SKEW = 300
"""Seconds that a call's time may differ from ours."""
TIMEOUT = 10.0


class Call(BaseModel):
    """The body. It names its trigger, so that it is good for no other."""

    model_config = ConfigDict(extra="forbid", strict=True)

    trigger: str
    reason: str = Field(default="", max_length=500)


class Refused(Exception):
    """A call that is not accepted: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def secret(environ: Mapping[str, str] = os.environ) -> str:
    """Return the secret. Raises `UsageError` where there is none: nobody could be told apart."""
    if not (found := environ.get(SECRET, "")):
        raise UsageError(
            f"params.yaml has a trigger of kind 'call' and {SECRET} is not set: set the secret "
            f"that its callers sign with."
        )
    return found


class Calls:
    """The calls of some triggers that were accepted so far; any thread may use it."""

    def __init__(self, folder: Path, names: Collection[str], secret: str) -> None:
        self.folder, self.names, self.secret = folder, names, secret
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def look(self, name: str) -> str | None:
        """Return the number and signature of the last call; None where none has come yet."""
        found = self._read(name)
        return f"{found['count']} {found['last']}" if found["count"] else None

    def accept(self, name: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Keep a call. Raises `Refused` for one that is not of somebody who knows the secret."""
        if name not in self.names:
            raise Refused(404, f"there is no trigger {name!r} of kind 'call'.")
        stamp, signed = (headers.get(f"X-Convoy-{part}", "") for part in ("Timestamp", "Signature"))
        if not stamp.isdecimal() or abs(now - int(stamp)) > SKEW:
            raise Refused(401, f"X-Convoy-Timestamp has to be the time, within {SKEW} seconds.")
        if not hmac.compare_digest(signature(self.secret, stamp, body).encode(), signed.encode()):
            raise Refused(401, "X-Convoy-Signature is not that of this body and time.")
        try:
            call = Call.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise Refused(400, f"{where}: {first['msg'].lower()}.") from None
        if call.trigger != name:
            raise Refused(
                400, f"the body names the trigger {call.trigger!r}, the address {name!r}."
            )
        with self._lock:
            found = self._read(name)
            recent = {s: at for s, at in found["seen"].items() if abs(now - at) <= 2 * SKEW}
            if signed in recent:
                raise Refused(409, "this call came before; sign a new one with the present time.")
            kept = {"count": found["count"] + 1, "last": signed, "seen": {**recent, signed: now}}
            write_json(self.folder / f"{name}.calls.json", kept)

    def _read(self, name: str) -> dict[str, Any]:
        found = read_json(self.folder / f"{name}.calls.json")
        return found if isinstance(found, dict) else {"count": 0, "last": "", "seen": {}}


def serve(calls: Calls, host: str, port: int) -> ThreadingHTTPServer:
    """Listen for calls in threads of their own, until `shutdown` of what is returned."""
    server = _Server((host, port), _Handler)
    server.calls = calls
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    calls: Calls


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server_version, sys_version = "Convoy", ""

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        try:
            name = self._name()
            self.server.calls.accept(name, dict(self.headers), self._body(), time.time())
        except Refused as refused:
            self._answer(refused.status, {"error": str(refused)})
        else:
            self._answer(202, {"accepted": name})

    def _name(self) -> str:
        folder, _, name = self.path.strip("/").partition("/")
        if folder != "triggers" or not name:
            raise Refused(404, "calls go to /triggers/NAME.")
        return name

    def _body(self) -> bytes:
        told = self.headers.get("Content-Length", "")
        if not told.isdecimal():
            raise Refused(411, "Content-Length is missing.")
        if int(told) > LARGEST:
            raise Refused(413, f"a body has {LARGEST} bytes at most.")
        return self.rfile.read(int(told))

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        with suppress(ConnectionError):  # whoever called has gone
            self.end_headers()
            self.wfile.write(body)
