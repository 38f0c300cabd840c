"""Prefect's API, for what a command asks of it: its own client takes two seconds to import."""

import base64
import json
import os
import time
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from uuid import uuid4

from convoy.addresses import without_credentials
from convoy.errors import ConvoyError, UsageError

TIMEOUT = 15.0
BUSY = 503
"""What a server answers, having done nothing, whose database is locked or that is just starting."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds after which a busy server is asked again."""
SCHEDULED = "SCHEDULED"


class NotFound(ConvoyError):
    """The server does not know what was asked for."""


class PrefectApi:
    """A Prefect server; what it answers with an error is raised as a sentence."""

    def __init__(self, address: str | None = None) -> None:
        """`address` ends in `/api`; where none is given, `PREFECT_API_URL` names it."""
        found = address or os.environ.get("PREFECT_API_URL")
        if not found:
            raise ConvoyError(
                "no Prefect server runs for this project: start `convoy up`, or name a team's in "
                "PREFECT_API_URL."
            )
        self.address = found.rstrip("/")

    @property
    def pages(self) -> str:
        """The address of its pages."""
        return without_credentials(self.address).removesuffix("/api")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the server answers to a request, which has JSON both ways."""
        headers = {"Content-Type": "application/json"}
        if told := os.environ.get("PREFECT_API_AUTH_STRING"):
            headers["Authorization"] = f"Basic {base64.b64encode(told.encode()).decode()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        content = self._answer(request)
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise ConvoyError(f"what answers at {self.pages} is no Prefect server.") from None

    def _answer(self, request: urllib.request.Request) -> bytes:
        for pause in (*PAUSES, None):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    content: bytes = answer.read()
                    return content
            except HTTPError as error:
                if error.code != BUSY or pause is None:
                    raise self._refusal(error) from None
                time.sleep(pause)
            except (OSError, HTTPException, ValueError) as error:
                reason = getattr(error, "reason", None) or error
                raise ConvoyError(
                    f"no Prefect server answers at {self.pages} ({reason}): start `convoy up`, or "
                    f"mend PREFECT_API_URL."
                ) from None
        raise AssertionError("the last try returns or raises")

    def deployment(self, full_name: str) -> dict[str, Any]:
        """Return a deployment as the server has it. Raises `NotFound` where it has none."""
        flow, _, name = full_name.partition("/")
        found: dict[str, Any] = self.ask("GET", f"/deployments/name/{quote(flow)}/{quote(name)}")
        return found

    def create_run(
        self, deployment: str, parameters: dict[str, Any], key: str | None, tags: list[str]
    ) -> dict[str, Any]:
        """Start a deployment, by its id; the same `key` gives the run that is there already."""
        body = {
            "state": {"type": SCHEDULED},
            "parameters": parameters,
            "enforce_parameter_schema": True,
            "tags": tags,
            "idempotency_key": key or uuid4().hex,
        }
        path = f"/deployments/{deployment}/create_flow_run"
        found: dict[str, Any] = self.ask("POST", path, body)
        return found

    def run_page(self, flow_run: str) -> str:
        return f"{self.pages}/runs/flow-run/{flow_run}"

    def _refusal(self, error: HTTPError) -> ConvoyError:
        told = _detail(error.read())
        match error.code:
            case 401 | 403:
                return ConvoyError(
                    f"the Prefect server {self.pages} lets nobody in without its password: set "
                    f"PREFECT_API_AUTH_STRING."
                )
            case 404:
                return NotFound(f"the Prefect server {self.pages} has none such ({told}).")
            case 409 | 422:
                return UsageError(f"the Prefect server {self.pages} refuses that: {told}.")
        return ConvoyError(f"the Prefect server {self.pages} fails ({error.code}: {told}).")


def _detail(content: bytes) -> str:
    """Return what an error says of itself, on one line."""
    try:
        found = json.loads(content)
    except ValueError:
        return content[:200].decode(errors="replace").strip() or "no reason given"
    told = found.get("detail", found) if isinstance(found, dict) else found
    if isinstance(found, dict) and "exception_detail" in found:
        first = found["exception_detail"][0]
        told = f"{'.'.join(map(str, first.get('loc', ())))}: {first.get('msg', '')}"
    text = told if isinstance(told, str) else json.dumps(told)
    return " ".join(text.split())[:300].rstrip(".")
