"""A webhook for promotions: signed, so that its receiver knows whose it is, and sent again.

`CONVOY_WEBHOOK` says where, `CONVOY_WEBHOOK_SECRET` signs. The signature is the HMAC-SHA256 of the
time, a dot and the body, as payment services do it: a receiver refuses what is old or was altered.
The same promotion has the same `X-Convoy-Delivery` each time: a receiver takes it once.
"""

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from convoy.addresses import without_credentials
from convoy.errors import ConvoyError, UsageError

PAUSES = (0.5, 2.0, 5.0, 15.0)
"""Seconds between tries."""
TIMEOUT = 10.0
AGAIN = {408, 425, 429}
"""Refusals that are worth another try; so is every 5xx."""


def target(environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Return address and secret; None where no webhook is set.

    Raises `UsageError` for an address that is none, or has no secret to sign with.
    """
    address, secret = (environ.get(f"CONVOY_WEBHOOK{end}", "") for end in ("", "_SECRET"))
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"CONVOY_WEBHOOK is {without_credentials(address)!r}: it is an address that begins "
            f"with https:// or http://."
        )
    if not secret:
        raise UsageError(
            "CONVOY_WEBHOOK is set and CONVOY_WEBHOOK_SECRET is not: a receiver could not tell "
            "our messages from anybody's; set the secret that both of you know."
        )
    return address, secret


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Return the value of `X-Convoy-Signature` for a time (seconds since 1970) and a body."""
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def send(name: str, entry: Mapping[str, Any], pauses: tuple[float, ...] = PAUSES) -> bool:
    """Tell the webhook of a journal's entry; return whether there is one to tell.

    Raises `ConvoyError` where it does not take it.
    """
    if (found := target()) is None:
        return False

    import httpx

    address, secret = found
    body = json.dumps({"event": "promotion", "model": name, **entry}).encode()
    said = ""
    for pause in (*pauses, None):
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Convoy-Event": "promotion",
            "X-Convoy-Delivery": f"{name}-{entry['sequence']}",
            "X-Convoy-Timestamp": stamp,
            "X-Convoy-Signature": signature(secret, stamp, body),
        }
        try:
            answer = httpx.post(address, content=body, headers=headers, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
        else:
            if answer.is_success:
                return True
            said = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in AGAIN:
                break
        if pause is not None:
            time.sleep(pause)
    raise ConvoyError(
        f"the webhook {without_credentials(address)} did not take the promotion of {name} version "
        f"{entry['version']} ({said}): it is in `convoy history {name}` all the same."
    )
