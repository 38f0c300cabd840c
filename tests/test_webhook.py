"""The webhook of a promotion, against a receiver on loopback that fails first."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from convoy import webhook
from convoy.errors import ConvoyError, UsageError

ENTRY = {"sequence": 7, "action": "promote", "version": "3", "reason": "better", "by": "ada"}
SOON = (0.01, 0.01, 0.01)


class Receiver:
    """Answers with these statuses in turn, the last one for ever; keeps what came."""

    def __init__(self, address: str, statuses: list[int]) -> None:
        self.address, self.statuses = address, statuses
        self.came: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.came.append((dict(self.headers.items()), body))
            left = receiver.statuses
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{web.server_port}/hook", list(statuses))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_PROXY", "127.0.0.1")
            patch.setenv("CONVOY_WEBHOOK", receiver.address)
            patch.setenv("CONVOY_WEBHOOK_SECRET", "known to both")
            yield receiver
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def test_a_receiver_that_fails_first_is_told_again_with_the_same_delivery() -> None:
    with receiving(503, 429, 200) as receiver:
        assert webhook.send("signs", ENTRY, SOON)
    assert len(receiver.came) == 3
    assert {headers["X-Convoy-Delivery"] for headers, _ in receiver.came} == {"signs-7"}
    for headers, body in receiver.came:
        expected = webhook.signature("known to both", headers["X-Convoy-Timestamp"], body)
        assert headers["X-Convoy-Signature"] == expected
        assert json.loads(body) == {"event": "promotion", "model": "signs", **ENTRY}


def test_a_signature_is_that_of_the_time_and_the_body() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    found = webhook.signature("secret", "1700000000", b"{}")
    assert found == "sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert found != webhook.signature("secret", "1700000001", b"{}")
    assert found != webhook.signature("other", "1700000000", b"{}")
    assert found != webhook.signature("secret", "1700000000", b"{ }")


@pytest.mark.parametrize(("statuses", "tries"), [((500,), 4), ((401,), 1)])
def test_a_receiver_that_does_not_take_it_is_given_up_with_a_sentence(
    statuses: tuple[int, ...], tries: int
) -> None:
    words = f"did not take .* version 3 .status {statuses[-1]}"
    with receiving(*statuses) as receiver, pytest.raises(ConvoyError, match=words):
        webhook.send("signs", ENTRY, SOON)
    assert len(receiver.came) == tries


def test_nobody_is_told_where_no_webhook_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVOY_WEBHOOK", raising=False)
    assert not webhook.send("signs", ENTRY)


@pytest.mark.parametrize(
    ("address", "secret", "words"),
    [
        ("https://hooks.example/x", "", "CONVOY_WEBHOOK_SECRET is not"),
        ("hooks.example", "s", "'hooks.example': it is an address that begins with https://"),
        ("ftp://u:secret@hooks.example", "s", "'ftp://hooks.example'"),
    ],
)
def test_a_webhook_that_could_not_be_signed_or_sent_is_refused(
    address: str, secret: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        webhook.target({"CONVOY_WEBHOOK": address, "CONVOY_WEBHOOK_SECRET": secret})
