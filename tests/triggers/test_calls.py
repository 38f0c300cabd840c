"""Signed calls over a real connection: who is let in, and who is refused with which status."""

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from convoy.errors import UsageError
from convoy.triggers import calls
from convoy.triggers.calls import Calls
from convoy.webhook import signature

SECRET = "between us"
BODY = {"trigger": "photos", "reason": "a new batch"}


class Door:
    """The server, and somebody at its door."""

    def __init__(self, folder: Path) -> None:
        self.calls = Calls(folder, ["photos", "other"], SECRET)
        self.server = calls.serve(self.calls, "127.0.0.1", 0)
        self.port = int(self.server.server_address[1])

    def knock(
        self,
        body: Any = BODY,
        name: str = "photos",
        at: float | None = None,
        secret: str = SECRET,
        signed: str | None = None,
        method: str = "POST",
    ) -> tuple[int, dict[str, Any]]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = str(int(time.time() if at is None else at))
        headers = {
            "X-Convoy-Timestamp": stamp,
            "X-Convoy-Signature": signed or signature(secret, stamp, content),
        }
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, f"/triggers/{name}", content, headers)
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(told) if method == "POST" else {}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    found = Door(tmp_path / "triggers")
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_signed_call_is_accepted_and_on_the_disk_before_it_is_answered(
    door: Door, tmp_path: Path
) -> None:
    assert door.calls.look("photos") is None
    assert door.knock() == (202, {"accepted": "photos"})
    seen = Calls(tmp_path / "triggers", ["photos"], SECRET).look("photos")
    assert seen is not None and seen == door.calls.look("photos")
    assert door.knock({**BODY, "reason": "another"})[0] == 202
    assert door.calls.look("photos") != seen
    assert door.calls.look("other") is None


def test_a_call_that_came_before_is_refused_also_by_a_server_that_was_restarted(
    door: Door, tmp_path: Path
) -> None:
    at = time.time()
    assert door.knock(at=at)[0] == 202
    seen = door.calls.look("photos")
    status, told = door.knock(at=at)
    assert (status, "came before" in told["error"]) == (409, True)
    again = Door(tmp_path / "triggers")
    assert again.knock(at=at)[0] == 409
    assert again.calls.look("photos") == seen
    again.server.shutdown()
    again.server.server_close()


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ({"secret": "a guess"}, 401, "is not that of this body and time"),
        ({"signed": "sha256=" + "0" * 64}, 401, "is not that of this body and time"),
        ({"signed": "sha256=\u00e9"}, 401, "is not that of this body and time"),
        ({"at": 1_000_000_000}, 401, "has to be the time, within 300 seconds"),
        ({"at": 9_999_999_999}, 401, "has to be the time, within 300 seconds"),
        ({"name": "nobody"}, 404, "no trigger 'nobody'"),
        ({"name": "other"}, 400, "the body names the trigger 'photos'"),
        ({"body": b"not json"}, 400, "invalid json"),
        ({"body": b"[]"}, 400, "the body: input should be an object"),
        ({"body": {"reason": "which?"}}, 400, "trigger: field required"),
        ({"body": {**BODY, "parameters": {"strict": False}}}, 400, "parameters: extra inputs"),
        ({"body": {**BODY, "reason": "x" * 501}}, 400, "reason: string should have at most 500"),
        ({"body": {**BODY, "reason": 7}}, 400, "reason: input should be a valid string"),
        ({"body": b"x" * (2**16 + 1)}, 413, "65536 bytes at most"),
    ],
)
def test_any_other_is_refused_with_the_reason_and_starts_nothing(
    door: Door, how: dict[str, Any], status: int, words: str
) -> None:
    found, told = door.knock(**how)
    assert (found, words in told["error"]) == (status, True), told
    assert door.calls.look("photos") is None and door.calls.look("other") is None


def test_only_posts_are_answered_and_a_silent_caller_stops_nobody(door: Door) -> None:
    assert door.knock(method="PUT")[0] == 501
    with socket.create_connection(("127.0.0.1", door.port)) as silent:
        silent.sendall(b"POST /triggers/photos HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
        assert door.knock()[0] == 202


def test_a_length_is_asked_for(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as caller:
        caller.sendall(b"POST /triggers/photos HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 411 " in caller.recv(200)


def test_without_a_secret_there_is_no_door() -> None:
    with pytest.raises(UsageError, match="CONVOY_TRIGGER_SECRET is not set"):
        calls.secret({})
