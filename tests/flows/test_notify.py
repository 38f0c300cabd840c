"""A flow run that fails is told by e-mail, webhook and Slack, with its error in a sentence."""

import json
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from convoy.errors import UsageError
from convoy.prefect_api import PrefectApi
from tests.prefect_servers import serving
from tests.terminal import environment

pytestmark = pytest.mark.slow


class _Mail(socketserver.StreamRequestHandler):
    """As much of an SMTP server as takes one message."""

    def handle(self) -> None:
        said, inside = self.server.received, False  # type: ignore[attr-defined]
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            if inside:
                inside = line != b".\r\n"
                if inside:
                    said.append(line.decode().rstrip("\r\n"))
                else:
                    self.wfile.write(b"250 taken\r\n")
            elif line.upper().startswith(b"DATA"):
                inside = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _slack(context: ssl.SSLContext) -> type[_Hook]:
    """Return a proxy that answers in Slack's place: its block takes no other address."""

    class Slack(_Hook):
        def do_CONNECT(self) -> None:
            assert self.path == "hooks.slack.com:443"
            self.send_response(200)
            self.end_headers()
            with context.wrap_socket(self.connection, server_side=True) as inside:
                _Hook(inside, self.client_address, self.server)
            self.close_connection = True

    return Slack


@contextmanager
def listening(server: socketserver.TCPServer) -> Iterator[tuple[int, list[object]]]:
    """Yield a server's port and the list of what it has received."""
    received: list[object] = []
    server.received = received  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield int(server.server_address[1]), received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectApi]:
    with serving(tmp_path_factory.mktemp("prefect")) as found:
        yield found


PROGRAM = """
import sys
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from convoy.errors import UsageError
from flows.notify import Email, notify

mail, hook = sys.argv[1:]
Email(host="127.0.0.1", port=int(mail), sender="convoy@example.invalid",
      to=["people@example.invalid"], starttls=False).save("people", overwrite=True)
CustomWebhookNotificationBlock(name="hook", url=f"http://127.0.0.1:{hook}/told", method="POST",
      json_data={"subject": "{{subject}}", "text": "{{body}}"}).save("hook", overwrite=True)
slack = "https://hooks.slack.com/services/T0/B0/" + 24 * "x"
SlackWebhook(url=slack).save("alerts", overwrite=True)

@flow(name="pipeline", on_failure=[notify])
def pipeline():
    raise UsageError("unknown dataset 'digitz' in params.yaml: did you mean 'digits'?")

try:
    pipeline()
except UsageError:
    pass
"""


def test_a_failure_is_told_by_mail_webhook_and_slack_and_a_block_that_is_not_there_stops_none(
    server: PrefectApi, repository: Path, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.slack.com").configure_cert(context)
    told = {
        "PREFECT_API_URL": server.address,
        "CONVOY_NOTIFY": "email/nobody, email/people,custom-webhook/hook,slack-webhook/alerts",
        "NO_PROXY": "127.0.0.1",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "authority.pem"),
        "PREFECT_HOME": str(tmp_path),
        "DO_NOT_TRACK": "true",
    }
    with (
        listening(socketserver.TCPServer(("127.0.0.1", 0), _Mail)) as (mail, letters),
        listening(HTTPServer(("127.0.0.1", 0), _Hook)) as (hook, posted),
        listening(HTTPServer(("127.0.0.1", 0), _slack(context))) as (slack, chatted),
    ):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(mail), str(hook)],
            env=environment(repository, {**told, "HTTPS_PROXY": f"http://127.0.0.1:{slack}"}),
            cwd=repository,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "the notification email/nobody was not taken" in done.stdout + done.stderr
    letter = "\n".join(map(str, letters))
    sentence = str(UsageError("unknown dataset 'digitz' in params.yaml: did you mean 'digits'?"))
    assert "Subject: Convoy: pipeline" in letter and "failed" in letter
    assert "To: people@example.invalid" in letter and sentence in letter.replace("=\n", "")
    (post,) = posted
    assert isinstance(post, dict)
    assert sentence in post["text"] and post["subject"].endswith("failed")
    assert "/runs/flow-run/" in post["text"] and "Traceback" not in post["text"]
    (chat,) = chatted
    assert sentence in json.dumps(chat)
