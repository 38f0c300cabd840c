"""Telling people of flow runs that failed or crashed, by Prefect's notification blocks.

`CONVOY_NOTIFY` names blocks, with commas between, as `slack-webhook/alerts,email/operators`. Any
kind that Prefect has will do; `Email` here is the one that it lacks: SMTP, without a service.
"""

import os
import smtplib
from email.message import EmailMessage
from typing import Any

from prefect import Flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging import get_logger
from pydantic import Field, SecretStr

from convoy.prefect_api import PrefectApi

TIMEOUT = 20.0


class Email(NotificationBlock):
    """A message by SMTP."""

    _block_type_name = "Email"
    _block_type_slug = "email"

    host: str = Field(description="The SMTP server.")
    port: int = Field(default=587, ge=1, lt=2**16)
    sender: str = Field(description="The address that it comes from.")
    to: list[str] = Field(min_length=1, description="The addresses that it goes to.")
    starttls: bool = Field(default=True, description="Encrypt the connection before anything else.")
    username: str | None = None
    password: SecretStr | None = None

    def notify(  # type: ignore[override] # as Prefect's own kinds, which are not async either
        self, body: str, subject: str | None = None
    ) -> None:
        """Send it. Raises `OSError` or `SMTPException` where the server does not take it."""
        message = EmailMessage()
        message["Subject"], message["From"] = subject or "Convoy", self.sender
        message["To"] = ", ".join(self.to)
        message.set_content(body)
        with smtplib.SMTP(self.host, self.port, timeout=TIMEOUT) as server:
            if self.starttls:
                server.starttls()
            if self.username and self.password:
                server.login(self.username, self.password.get_secret_value())
            server.send_message(message)


def notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell all blocks of `CONVOY_NOTIFY`; one that does not take it is named in the log."""
    told = os.environ.get("CONVOY_NOTIFY", "").split(",")
    for name in filter(None, (one.strip() for one in told)):
        try:
            subject, body = message(flow.name, flow_run, state)
            block: Any = Block.load(name)
            block.notify(body, subject=subject)
        except Exception as error:
            get_logger("convoy").error("the notification %s was not taken: %s", name, error)


def message(flow: str, run: FlowRun, state: State[Any]) -> tuple[str, str]:
    """Return subject and text: what failed, the error in one sentence, and where to see it."""
    how = (state.name or "failed").lower()
    subject = f"Convoy: {flow} {run.name} {how}"
    page = PrefectApi().run_page(str(run.id))
    return subject, f"{_sentence(state)}\n\n{page}\n"


def _sentence(state: State[Any]) -> str:
    """Return the error without Prefect's words around it."""
    said = " ".join((state.message or "no reason was given").split())
    return said.removeprefix("Flow run encountered an exception: ")
